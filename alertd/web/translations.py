"""The words of the pages: read from gettext catalogues when the process starts, without a compile step."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from alertd.core.alert import LANGUAGES, Language

DOMAIN: Final = "alertd"
LOCALE_DIR: Final = Path(__file__).parent.parent / "locale"
SOURCE_LANGUAGE: Final[Language] = "en"  # the language that message ids are written in
DEFAULT_LANGUAGE: Final[Language] = "ja"


def marked(message: str) -> str:
    """`message` as it is; the extraction of messages finds it here, it is translated where it is shown."""
    return message


def catalogue_path(language: Language) -> Path:
    return LOCALE_DIR / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def load() -> Mapping[Language, NullTranslations]:
    """Every language's translations. Raises when a catalogue is missing or cannot be read."""
    return {language: _read(language) for language in LANGUAGES}


def _read(language: Language) -> NullTranslations:
    if language == SOURCE_LANGUAGE:
        return NullTranslations()
    with catalogue_path(language).open("rb") as file:
        catalogue = read_po(file, locale=language, domain=DOMAIN, abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, DOMAIN)


TRANSLATIONS: Final = load()


def parse_language(value: str | None) -> Language | None:
    """The language of that code, regions ignored (`ja-JP`); None when the pages do not speak it."""
    code = (value or "").strip().lower().partition("-")[0]
    return next((language for language in LANGUAGES if language == code), None)


def accepted_language(header: str) -> Language:
    """What an Accept-Language field prefers (RFC 9110 section 12.5.4); Japanese when it names nothing that we speak."""
    wishes: list[tuple[float, Language]] = []
    for part in header.split(","):
        name, _, parameters = part.partition(";")
        language = parse_language(name)
        weight = parameters.strip().removeprefix("q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        if language is not None and quality > 0:
            wishes.append((quality, language))
    return max(wishes, key=lambda wish: wish[0])[1] if wishes else DEFAULT_LANGUAGE
