"""Vectors of clauses 5.4.1 to 5.4.5: names, texts and JSON as programs read them differently."""

from __future__ import annotations

from bases import ONE
from cases import Case
from columns import scalar_text, text
from model.model_cases import SEED, key_chain

from package.manifest_cases import VALUE, put_all
from package.source_cases import EXTRAS, NAME, SOURCES

CONFIGURATION, UNDERSTAND = "/model@configuration", "/@must_understand"


def _named(name: str, what: str, clauses: tuple[str, ...], *names: str) -> Case:
    """Return a package of tensors of these names, each of other bytes."""
    chain = key_chain(*((n, "U8", (2,)) for n in names))
    return Case(f"04-model/name-{name}", what, clauses, chain, seed=SEED)


def _tensor_names() -> list[Case]:
    plain = _named("plain", "a package of two tensors", ("5.4.3",), "a", "b")

    def long(name: str, what: str, value: str) -> Case:
        return plain.reject(
            f"04-model/name-{name}",
            f"{what} is rejected: bytes count",
            "5.4.3",
            "manifest/tensor-name",
            chain=key_chain(("a", "U8", (2,)), (value, "U8", (2,))),
        )

    script = ("__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "then", "length")
    numbers = ("10", "9", "1", "-1", "01", "1.0", "1e1", "0x1", "NaN", "null", "true", "")[:-1]
    return [
        plain,
        _named(
            "normal-forms",
            "names that differ in their normal form alone are two names",
            ("5.4.3", "4.4"),
            "h\u00e9",
            "he\u0301",
            "\uac00",
            "\u1100\u1161",
            "\u212b",
            "\u00c5",
        ),
        _named(
            "byte-order-mark",
            "a byte order mark is part of a name",
            ("5.4.3", "4.5.2"),
            "\ufeffa",
            "a",
            "a\ufeff",
            "\ufeff",
        ),
        _named(
            "of-objects",
            "a name can be one that objects of a language have",
            ("5.4.3",),
            *script,
            "__class__",
            "__dict__",
            "__metadata",
            "_metadata__",
        ),
        _named(
            "digits", "names that look like numbers keep their form", ("5.4.3", "4.5.2"), *numbers
        ),
        _named(
            "space",
            "letter case and spaces are part of a name",
            ("5.4.3", "5.3.3"),
            *("a", "A", "a ", " a", "a\u00a0", "a\t", "a\n", "a\r\n", "a\u200b", "\x7f", "\x01"),
        ),
        _named(
            "1024-bytes-wide",
            "256 characters beyond U+FFFF are a name of 1024 bytes",
            ("5.4.3",),
            "\U0001d6fc" * 256,
            "\u00e9" * 512,
            "\uac00" * 341 + "a",
        ),
        long("long-wide", "a name of 1028 bytes in 257 characters", "\U0001d6fc" * 257),
        long("long-narrow", "a name of 1026 bytes in 513 characters", "\u00e9" * 513),
        long("long-three", "a name of 1026 bytes in 342 characters", "\uac00" * 342),
    ]


def _root_texts() -> list[Case]:
    def feature(name: str, value: str, what: str) -> Case:
        return ONE.reject(
            f"05-package/must-understand-{name}",
            f"a text of features that is {what} is rejected",
            "5.4.1",
            "manifest/must-understand",
            put_all({UNDERSTAND: scalar_text(value)}),
            or_unsupported=True,
        )

    def root(name: str, path: str, value: str, code: tuple[str, ...], what: str) -> Case:
        return ONE.reject(
            f"05-package/{name}",
            f"{what} is rejected: spaces are part of a text",
            ("5.4.1", "5.3.3") if "format" in path else ("10.1", "5.3.3"),
            code,
            put_all({path: scalar_text(value)}),
            or_unsupported=True,
        )

    version = "manifest/version"
    return [
        feature("space", " ", "one space"),
        feature("tab", "\t", "a tab"),
        feature("wide-space", "\u3000", "a space of another script"),
        feature("line-feed", "\n", "a line feed"),
        root("format-space", "/@format", "nmc ", (version, VALUE), "a format with a space"),
        root("format-case", "/@format", "NMC", (version, VALUE), "a format in upper case"),
        root(
            "format-line-feed", "/@format", "nmc\n", (version, VALUE), "a format with a line feed"
        ),
        root(
            "version-line-feed",
            "/@format_version",
            "1.0\n",
            (version,),
            "a version with a line feed",
        ),
        root(
            "version-tab-before", "/@format_version", "\t1.0", (version,), "a version behind a tab"
        ),
        root("version-point", "/@format_version", "1x0", (version,), "a version with an x"),
        root("version-eleven", "/@format_version", "11.0", (version,), "version 11.0"),
        root("version-empty-minor", "/@format_version", "1.", (version,), "no minor version"),
        root(
            "profile-space",
            "/@profile",
            "baseline ",
            ("profile/unknown",),
            "a profile with a space",
        ),
        root(
            "profile-line-feed",
            "/@profile",
            "main\n",
            ("profile/unknown",),
            "a profile with a line feed",
        ),
        ONE.vary(
            "05-package/version-minor-long",
            "a minor version can have any number of digits",
            "5.4.1",
            put_all({"/@format_version": scalar_text("1." + "9" * 5000)}),
        ),
        ONE.vary(
            "05-package/texts-free",
            "family, sequence and creator can be any text, also an empty one",
            ("5.4.1", "5.4.2"),
            put_all(
                {
                    "/model@family": scalar_text(""),
                    "/@sequence_id": scalar_text("\ufeff\u202e" + "x" * 3000),
                    "/@creator": scalar_text("\n\x1b[2J"),
                }
            ),
        ),
    ]


_DEEP = "[" * 100 + "]" * 100
_ALLOWED = (
    ("minus-digits", '{"x": -' + "9" * 5000 + "}", "a negative number of 5000 digits"),
    ("fraction-digits", '{"x": 0.' + "1" * 5000 + "}", "a fraction of 5000 digits"),
    ("exponent-digits", '{"x": 1e' + "9" * 5000 + "}", "an exponent of 5000 digits"),
    ("exponent-forms", '{"x": [1E+05, 1e-0, -0, -0.0e00, 0e9]}', "exponents in all their forms"),
    ("integers", '{"x": [9007199254740993, 18446744073709551616]}', "integers beyond 2^53"),
    ("name-proto", '{"__proto__": {"x": 1}, "__proto__": null}', "the name __proto__, twice"),
    ("name-empty", '{"": {"": []}}', "empty names"),
    ("escapes", '{"\\u0000\\b\\f\\n\\r\\t\\/\\\\\\"": "\\u00AB\\u00ab"}', "every escape"),
    ("characters", '{"x": "\x7f\u2028\u2029\ufeff\ufffe"}', "odd characters in a text"),
    ("white-space", '\n\t {\r"x"\t:\n1 ,\r\n"y" : [ ] } \n', "white space everywhere"),
    ("nested-beside", '{"x": [[1], {"y": [2]}], "z": [[]]}', "values of several depths"),
    ("name-nested", '{"' + "[{" * 200 + '": "\\"[[["}', "brackets in names and behind quotes"),
)
_REFUSED = (
    ("hidden-surrogate", '{"x": "\\ud800", "x": 1}', "a surrogate in a value said again later"),
    ("hidden-depth", '{"x": ' + _DEEP + ', "x": 1}', "nested 101 deep in a value said again later"),
    ("surrogate-apart", '{"x": "\\ud83d \\ude00"}', "a pair of surrogates with a space between"),
    ("surrogate-escaped", '{"x": "\\\\\\ud83d"}', "half of a pair behind a backslash"),
    ("surrogate-high-twice", '{"x": "\\ud83d\\ud83d\\ude00"}', "a surrogate before a pair"),
    ("surrogate-texts", '{"x": ["\\ud83d", "\\ude00"]}', "a pair of surrogates in two texts"),
    ("space-wide", '{"x":\u00a01}', "no JSON for a space that is none of JSON's"),
    ("space-feed", '{"x":\f1}', "no JSON for a form feed"),
    ("mark-behind", "{}\ufeff", "no JSON for a byte order mark at its end"),
    ("zero-first", '{"x": 01}', "no JSON for a zero before a number"),
    ("point-last", '{"x": 1.}', "no JSON for a number that ends with a point"),
    ("point-first", '{"x": .5}', "no JSON for a number that begins with a point"),
    ("plus", '{"x": +1}', "no JSON for a number with a plus"),
    ("hexadecimal", '{"x": 0x10}', "no JSON for a hexadecimal number"),
    ("digits-wide", '{"x": \uff11}', "no JSON for a digit that is not ASCII"),
    ("exponent-empty", '{"x": 1e}', "no JSON for an exponent without digits"),
    ("quotes", "{'x': 1}", "no JSON for other quotes"),
    ("comment", '{"x": 1 /* */}', "no JSON for a comment"),
    ("escape-x", '{"x": "\\x41"}', "no JSON for an escape that it does not have"),
    ("escape-short", '{"x": "\\u12"}', "no JSON for an escape of two digits"),
    ("control-31", '{"x": "\x1f"}', "no JSON for the control character 31 in a text"),
    ("name-bare", "{x: 1}", "no JSON for a name without quotes"),
    ("true-case", '{"x": True}', "no JSON for a word in other letters"),
    ("text", '"{}"', "a JSON text that holds an object"),
    ("open", '{"x": 1', "an object without an end"),
)


def _json() -> list[Case]:
    made = [
        ONE.vary(
            f"05-package/configuration-{name}",
            f"a configuration can hold {what}",
            "5.4.2",
            put_all({CONFIGURATION: scalar_text(value)}),
        )
        for name, value, what in _ALLOWED
    ]
    made += [
        ONE.reject(
            f"05-package/configuration-{name}",
            f"a configuration that is {what} is rejected",
            "5.4.2",
            VALUE,
            put_all({CONFIGURATION: scalar_text(value)}),
        )
        for name, value, what in _REFUSED
    ]
    return made


def _sources() -> list[Case]:
    def extras(size: int) -> str:
        """Return extras of so many bytes, most of them in characters of three."""
        wide = "\uac00" * ((size - 8) // 3)
        return '{"x":"' + wide + "y" * (size - 8 - len(wide.encode())) + '"}'

    return [
        SOURCES.vary(
            "05-package/source-name-text",
            "source names keep normal form, byte order mark and characters like a stroke",
            "5.4.5",
            put_all({NAME: text("\ufeffhe\u0301.pth", "a\uff0fb\u2215c\u29f5 d:e*?.")}),
        ),
        SOURCES.reject(
            "05-package/source-name-1025-narrow",
            "a source name of 1025 bytes in 513 characters is rejected",
            "5.4.5",
            VALUE,
            put_all({NAME: text("a.pth", "\u00e9" * 512 + "a")}),
        ),
        SOURCES.vary(
            "05-package/extras-longest-wide",
            "extras can be 65,536 bytes long in fewer characters",
            "5.4.5",
            put_all({EXTRAS: text("{}", extras(65_536))}),
            inflate=True,
        ),
        SOURCES.reject(
            "05-package/extras-long-wide",
            "extras of 65,537 bytes in fewer characters are rejected",
            "5.4.5",
            VALUE,
            put_all({EXTRAS: text("{}", extras(65_537))}),
            inflate=True,
        ),
        SOURCES.reject(
            "05-package/extras-hidden-surrogate",
            "extras with a surrogate in a value said again later are rejected",
            ("5.4.5", "5.4.2"),
            VALUE,
            put_all({EXTRAS: text("{}", '{"x": "\\udc00", "x": 1}')}),
        ),
        SOURCES.vary(
            "05-package/extras-digits",
            "extras can hold a number of 5000 digits and a name twice",
            ("5.4.5", "5.4.2"),
            put_all({EXTRAS: text("{}", '{"x": ' + "9" * 5000 + ', "x": 1e999}')}),
        ),
    ]


def cases() -> list[Case]:
    """Return the cases of these clauses."""
    return [*_tensor_names(), *_root_texts(), *_json(), *_sources()]
