"""The HTML writer: balanced, escaped, and nothing outside the page."""

from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image

import foveate as fv
from foveate.explain.page import html

VOID = {"meta", "img", "source", "br", "link"}


class Checker(HTMLParser):
    """Balanced tags, identifiers, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.ids, self.addresses, self.tags, self.words = [], [], [], [], []
        self.alts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.addresses += [given[name] for name in ("href", "src", "srcset") if name in given]
        if tag == "img":
            self.alts.append(given["alt"])
            assert int(given["width"]) > 0
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_text_is_taken_as_text():
    table = html.Table(("<th>", "number"), [("a & b", "1.5"), ("<script>alert(1)</script>", "-2 %")], "<caption>")
    gif = BytesIO()
    Image.new("P", (3, 2)).save(gif, "GIF")
    picture = html.Picture('"quoted" <alt>', gif.getvalue(), caption="<i>")
    sections = [html.Section("<A>", ["<b>bold</b>"], [picture], table), html.Section("<A>")]
    text = html.page('Title & "quotes" </title>', sections)
    page = Checker(text)
    assert not {"b", "script", "i"} & set(page.tags)
    assert page.alts == ['"quoted" <alt>']
    words = " ".join(page.words)
    for part in ("<b>bold</b>", "<script>alert(1)</script>", "<caption>", "<th>", "a & b", 'Title & "quotes" </title>'):
        assert part in words
    assert 'src="data:image/gif;base64,' in text
    assert 'width="3" height="2"' in text
    assert page.tags.count("source") == 0
    assert text.count('<td class="number">') == 2
    assert [address for address in page.addresses if address.startswith("#")] == ["#part-1-a", "#part-2-a"]


def test_what_is_no_picture_and_no_table():
    with pytest.raises(fv.DataError, match=r"begins with b'\\xff\\xd8\\xff'; give the bytes of a PNG or a GIF"):
        html.page("x", [html.Section("a", figures=[html.Picture("alt", b"\xff\xd8\xff")])])
    with pytest.raises(fv.DataError, match=r"row 2 of the table has 1 cells, but the header has 2"):
        html.Table(("a", "b"), [("1", "2"), ("3",)])


def test_a_page_is_written_whole(tmp_path):
    html.write_page(tmp_path / "page.html", "Über", [html.Section("Ä")])
    assert Checker((tmp_path / "page.html").read_text(encoding="utf-8")).words.count("Ä") == 2
