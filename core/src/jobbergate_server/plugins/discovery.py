"""Discovery of installed plugins, and of their requirements, in the packaging metadata."""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jobbergate_server.errors import StartError
from jobbergate_server.plugins.entry_points import PLUGINS
from jobbergate_server.plugins.plugin import Plugin

CORE = "jobbergate-server"
SLUG = re.compile("[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def discover() -> list[Plugin]:
    """Return the plugins that are installed in this environment, also two of one slug.

    Raises:
        StartError: An entry point has a name that cannot be a slug.
    """
    entries = sorted(entry_points(group=PLUGINS), key=lambda entry: (entry.name, _distribution(entry)))
    if wrong := [entry for entry in entries if not SLUG.fullmatch(entry.name)]:
        raise StartError("\n".join(_refusal(entry) for entry in wrong))
    slugs: dict[str, set[str]] = {}
    for entry in entries:
        slugs.setdefault(_distribution(entry), set()).add(entry.name)
    return [_plugin(entry, slugs) for entry in entries]


def select(plugins: list[Plugin], slugs: list[str]) -> list[Plugin]:
    """Return the ``plugins`` that ``slugs`` name, with all that they require.

    Raises:
        StartError: No plugin with such a slug is installed.
    """
    known = {plugin.slug: plugin for plugin in plugins}
    missing = [slug for slug in slugs if slug not in known]
    if missing:
        raise StartError(f"no plugin {', '.join(map(repr, missing))} is installed")
    wanted: set[str] = set()
    rest = list(slugs)
    while rest:
        slug = rest.pop()
        if slug not in wanted:
            wanted.add(slug)
            rest += known[slug].requires
    return [plugin for plugin in plugins if plugin.slug in wanted]


def _refusal(entry: EntryPoint) -> str:
    return (
        f"plugin {entry.name!r} of {_distribution(entry)}: the slug must begin with a letter and consist of lower-case "
        "letters and digits, in parts joined by single hyphens or underscores"
    )


def _plugin(entry: EntryPoint, slugs: Mapping[str, set[str]]) -> Plugin:
    requirements = list(_requirements(entry))
    return Plugin(
        entry.name,
        entry.value,
        _distribution(entry),
        entry.dist.version if entry.dist else "",
        frozenset().union(*(slugs.get(it.name, set()) for it in requirements)) - {entry.name},
        unmet=tuple(_unmet(requirements, {CORE, *slugs})),
    )


def _unmet(requirements: list[Requirement], checked: set[str]) -> Iterator[str]:
    """Yield the unmet requirements: missing distributions, and wrong versions of those in ``checked``."""
    for requirement in requirements:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield f"requires {requirement}, which is not installed"
            continue
        if requirement.name in checked and not requirement.specifier.contains(installed, prereleases=True):
            yield f"requires {requirement}, but {requirement.name} {installed} is installed"


def _distribution(entry: EntryPoint) -> str:
    return canonicalize_name(entry.dist.name) if entry.dist else ""


def _requirements(entry: EntryPoint) -> Iterator[Requirement]:
    """Yield the requirements of the entry point's distribution in this environment, with canonical names."""
    for text in (entry.dist.requires if entry.dist else None) or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            requirement.name = canonicalize_name(requirement.name)
            requirement.marker = None
            yield requirement
