"""A new plugin: a distribution with a table, two routes and passing tests, which its author then changes."""

import keyword
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from packaging.version import Version

from jobbergate_server.errors import StartError
from jobbergate_server.plugins.discovery import SLUG

FILES = {
    ".gitignore": "gitignore",
    "README.md": "readme",
    "pyproject.toml": "pyproject",
    "src/$package/__init__.py": "package",
    "src/$package/migrations/0001_initial.py": "first_migration",
    "src/$package/migrations/__init__.py": "migrations",
    "src/$package/py.typed": None,
    "tests/test_$label.py": "test",
}
"""The files of a plugin, and their templates; an empty file has no template."""
TAKEN = frozenset({"ListQuery", "Model", "Models", "Permission", "Route", "Schema"})
"""Names that the code of a new plugin imports, which its model cannot have."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the parts of a new plugin, by the variables of the templates."""

    distribution: str
    package: str
    slug: str
    label: str
    singular: str
    model: str
    many: str
    one: str
    article: str
    versions: str

    @classmethod
    def of(cls, distribution: str) -> "Names":
        """Return the names for a distribution; the slug is the text after the first hyphen.

        Raises:
            StartError: The name is not valid.
        """
        slug = distribution.partition("-")[2] or distribution
        label = slug.replace("-", "_")
        singular = _singular(label)
        one = singular.replace("_", " ")
        names = cls(
            distribution=distribution,
            package=distribution.replace("-", "_"),
            slug=slug,
            label=label,
            singular=singular,
            model="".join(part.capitalize() for part in singular.split("_")),
            many=label.replace("_", " "),
            one=one,
            article="an" if one.startswith(tuple("aeiou")) else "a",
            versions=compatible(version("jobbergate-server")),
        )
        for reason in names.refusals():
            raise StartError(f"{distribution!r} is not a valid name for a plugin: {reason}")
        return names

    def refusals(self) -> Iterator[str]:
        """Yield the errors of the names."""
        for kind, name in {"name": self.distribution, "slug": self.slug}.items():
            if not SLUG.fullmatch(name):
                yield (
                    f"the {kind} {name!r} must begin with a letter and consist of lower-case letters and digits, in "
                    "parts joined by single hyphens or underscores"
                )
        for kind, name in {"package": self.package, "model": self.model}.items():
            if keyword.iskeyword(name):
                yield f"its {kind} would have the name {name!r}, which is a keyword of Python"
        if self.model in TAKEN:
            yield f"its model would have the name {self.model!r}, which its code imports"
        if find_spec(self.package):
            yield f"the package {self.package!r} already exists"


def create(distribution: str, parent: Path) -> Names:
    """Create a plugin in the new directory ``distribution`` of ``parent``.

    Raises:
        StartError: The name is not valid, or the directory exists or cannot be written.
    """
    names = Names.of(distribution)
    templates = files("jobbergate_devkit") / "templates"
    folder = parent / distribution
    if folder.exists():
        raise StartError(f"{folder} already exists")
    try:
        folder.mkdir()
        for path, template in FILES.items():
            text = _filled((templates / f"{template}.txt").read_text("utf-8"), names) if template else ""
            file = folder / _filled(path, names)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartError(f"{folder} cannot be written: {error.strerror}") from None
    return names


def compatible(version: str) -> str:
    """Return the versions of the server that a plugin for ``version`` supports.

    >>> compatible("0.1.4"), compatible("2.3.0"), compatible("1.0.0rc1")
    ('>=0.1,<0.2', '>=2.3,<3', '>=1.0.0rc1,<2')
    """
    parsed = Version(version)
    least = version if parsed.is_prerelease else f"{parsed.major}.{parsed.minor}"
    return f">={least},<{f'{parsed.major + 1}' if parsed.major else f'0.{parsed.minor + 1}'}"


def _singular(plural: str) -> str:
    """Return the singular of a plural; return a word without a plural ending unchanged.

    >>> [_singular(word) for word in ("licences", "gpu_queues", "policies", "status", "software")]
    ['licence', 'gpu_queue', 'policy', 'status', 'software']
    """
    if plural.endswith("ies"):
        return f"{plural[:-3]}y"
    return plural if plural.endswith(("ss", "us", "is")) else plural.removesuffix("s")


def _filled(template: str, names: Names) -> str:
    return Template(template).substitute(asdict(names))
