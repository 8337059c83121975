"""Load extensions by name, ours and others': rules, judges, samplers, data sources, trainers, trackers.

Ours come from a table in the code, since a checkout has no installed metadata; those of other packages are found by
entry points. Both pass the same checks (docs/extending.md).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from unstuck.records.errors import ExtensionError

RULES, JUDGES, SAMPLERS, DATA_SOURCES = "unstuck.rules", "unstuck.judges", "unstuck.samplers", "unstuck.data_sources"
TRAINERS, TRACKERS = "unstuck.trainers", "unstuck.trackers"
"""Groups of entry points."""

OURS = "unstuck"
"""Name of our own package, whose entry points the tables in the code replace."""

T = TypeVar("T")


@dataclass(frozen=True)
class Extension(Generic[T]):
    """Loaded extension (rule, judge, sampler, data source, trainer or tracker), with its name and package.

    Attributes:
        name: Name by which settings and reports refer to the extension.
        value: The extension itself, of the kind that the group wants.
        package: Package that brings the extension.
    """

    name: str
    value: T
    package: str

    @property
    def is_ours(self) -> bool:
        """True if the extension is built in, and not from another package."""
        return self.package == OURS


def load_extensions(
    group: str, ours: Mapping[str, T], fits: Callable[[object], bool], wanted: str
) -> tuple[Extension[T], ...]:
    """Import all extensions of one kind (an entry-point group): built-in ones first, then other packages'.

    Args:
        group: Group of entry points.
        ours: Our extensions by name.
        fits: Function that tells if a value is of the kind that the group wants.
        wanted: This kind in words, for the message.

    Raises:
        ExtensionError: An extension cannot be imported, is of another kind, or has a name that is taken; the message
            names the package.

    Example:
        >>> found = load_extensions("unstuck.examples", {"twice": lambda x: 2 * x}, callable, "a function")
        >>> found[0].name, found[0].package
        ('twice', 'unstuck')
        >>> load_extensions("unstuck.examples", {"twice": 2}, callable, "a function")
        Traceback (most recent call last):
        ...
        unstuck.records.errors.ExtensionError: twice in unstuck.examples must be a function, got 2 from package unstuck
    """
    others = ((entry.name, _import(entry, group), find_package(entry)) for entry in find_others(group))
    return check_extensions(group, [*((name, value, OURS) for name, value in ours.items()), *others], fits, wanted)


def check_extensions(
    group: str, found: Iterable[tuple[str, object, str]], fits: Callable[[object], bool], wanted: str
) -> tuple[Extension[T], ...]:
    """Check the type and the name of each extension of a kind; return the extensions, or raise `ExtensionError`.

    Args:
        group: Group of entry points.
        found: Name, value and package of each extension.
        fits: As in `load_extensions`.
        wanted: As in `load_extensions`.

    Raises:
        ExtensionError: Naming the extension and the package.
    """
    packages: dict[str, str] = {}
    checked = []
    for name, value, package in found:
        if name in packages:
            raise ExtensionError(
                f"names in {group} must differ, got {name} from package {packages[name]} and from package {package}; "
                "uninstall one of the two, or rename its entry point"
            )
        if not fits(value):
            raise ExtensionError(f"{name} in {group} must be {wanted}, got {value!r:.100} from package {package}")
        packages[name] = package
        checked.append(Extension(name, value, package))
    return tuple(checked)  # type: ignore[arg-type]  # fits has told


def list_other_names(group: str) -> tuple[str, ...]:
    """List the names of other packages' extensions of one kind, without importing any package."""
    return tuple(entry.name for entry in find_others(group))


@cache
def find_others(group: str) -> tuple[EntryPoint, ...]:
    """Find other packages' entry points of one kind of extension, sorted by package and name."""
    found = [entry for entry in entry_points(group=group) if find_package(entry) != OURS]
    return tuple(sorted(found, key=lambda entry: (find_package(entry), entry.name)))


def find_package(entry: EntryPoint) -> str:
    """Return the name of the package that declares an entry point."""
    return entry.dist.name if entry.dist else "of unknown name"


def _import(entry: EntryPoint, group: str) -> object:
    try:
        return entry.load()
    except Exception as error:  # whatever an import may raise; it is the other package's
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ExtensionError(
            f"{entry.name} in {group} cannot be imported from {entry.value} of package {find_package(entry)}: {reason};"
            " mend or uninstall the package"
        ) from error
