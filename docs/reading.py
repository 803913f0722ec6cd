"""An extension of griffe, which reads the sources for the reference: examples as code, names as Python finds them."""

from typing import Any

import griffe


class Reading(griffe.Extension):
    """What griffe would show otherwise than a person expects."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put a fence around each example of a docstring, which would be a quotation in quotations."""
        if obj.docstring is not None:
            paragraphs = obj.docstring.value.split("\n\n")
            obj.docstring.value = "\n\n".join(
                f"```pycon\n{each}\n```" if each.startswith(">>>") else each for each in paragraphs
            )

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Let what a package imports stand before the module of the same name that it comes from."""
        for package in (each for each in pkg.modules.values() if not each.is_alias and each.is_subpackage):
            self._resolve(package)
            for name in package.exports or []:
                member = package.members.get(str(name))
                if member is not None and not member.is_alias and member.is_module and str(name) in member.members:
                    package.members[str(name)] = griffe.Alias(str(name), member.members[str(name)], parent=package)

    @staticmethod
    def _resolve(package: griffe.Module) -> None:
        """Find what names stand for while every module can still be reached by its path."""
        for member in package.members.values():
            if member.is_alias and member.target_path.startswith("foveate."):
                member.resolve_target()
