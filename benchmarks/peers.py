"""Other runtimes of inference that the same networks are given to, as ONNX files that foveate writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.errors import BenchmarkError


@dataclass(frozen=True)
class Peer:
    """A runtime: the module that has it, which is its name here too, and its heading in the table."""

    name: str
    heading: str

    @property
    def installed(self) -> bool:
        """Whether it can be imported."""
        return find_spec(self.name) is not None


PEERS: dict[str, Peer] = {
    peer.name: peer for peer in (Peer("onnxruntime", "onnx-\nruntime"), Peer("openvino", "Open-\nVINO"))
}


def find_peers(names: Sequence[str]) -> list[Peer]:
    """The peers of these names, in the table's order; a BenchmarkError lists them when one is unknown."""
    wanted = {name.strip() for name in names if name.strip()}
    for name in sorted(wanted - set(PEERS)):
        raise BenchmarkError(f'there is no peer "{name}"; the peers are {", ".join(PEERS)}')
    return [peer for peer in PEERS.values() if peer.name in wanted]
