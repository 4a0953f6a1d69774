"""Verilog text as tokens: comments and attributes dropped, compiler directives and macros carried out.

Every pattern takes time linear in the text; what a macro expands to, and the number of tokens, are bounded.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from circuits.errors import DesignError
from circuits.hdl.verilog.syntax.tree import Place, failure

MAXIMUM_BYTES = 8 * 1024 * 1024
"""Longest Verilog text read, in characters."""
MAXIMUM_TOKENS = 1_000_000
"""Most tokens of one text, macros expanded."""
_MAXIMUM_MACRO_DEPTH = 30
_MAXIMUM_MACRO_TEXT = 64 * 1024
_MAXIMUM_EXPANSIONS = 100_000

KEYWORDS = frozenset(
    """
    always always_comb always_ff always_latch and assign automatic begin bit buf bufif0 bufif1 byte case casex casez
    cmos deassign default defparam disable edge else end endcase endfunction endgenerate endmodule endpackage
    endprimitive endspecify endtask enum event final for force forever fork function generate genvar if initial inout
    input int integer interface join localparam logic macromodule module nand negedge nmos nor not notif0 notif1 or
    output package parameter pmos posedge primitive pulldown pullup rcmos real realtime reg release repeat rnmos rpmos
    rtran signed specify specparam struct supply0 supply1 task time tran tri tri0 tri1 triand trior trireg typedef
    unsigned var wait wand while wire wor xnor xor
    """.split()  # noqa: SIM905
)
"""Reserved words that mean something to this reader; any other word is a name."""

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\f\n\v]++ | //[^\n]*+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_$]*+)
    | (?P<real>[0-9][0-9_]*+(?:\.[0-9][0-9_]*+(?:[eE][+-]?[0-9]++)? | [eE][+-]?[0-9]++))
    | (?P<number>(?:[0-9][0-9_]*+\s*+)?'[sS]?[bBoOdDhH]\s*+[0-9a-fA-FxXzZ?_]++ | [0-9][0-9_]*+ | '[01xXzZ](?!\w))
    | (?P<escaped>\\[^\s]++)
    | (?P<comment>/\*)
    | (?P<attribute>\(\*(?!\s*+\)))
    | (?P<symbol><<<|>>>|===|!==|&&|\|\||~\^|\^~|~&|~\||<<|>>|==|!=|<=|>=|\*\*|\+\+|--|\+:|-:|->
        | [+\-*&|^]=
        | [()\[\]{};:,.=~!&|^?+\-*/%<>\#@'])
    | (?P<system>\$[A-Za-z_][A-Za-z0-9_$]*+)
    | (?P<directive>`[A-Za-z_][A-Za-z0-9_]*+)
    | (?P<string>"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+")
    """,
    re.VERBOSE,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*+")
_DEFINE = re.compile(r"[ \t]*+([A-Za-z_][A-Za-z0-9_]*+)(\([^()\n]*+\))?")
_CONDITION = re.compile(r"\s*+([A-Za-z_]\w*+)", re.ASCII)
_IGNORED = frozenset(
    "`timescale `celldefine `endcelldefine `resetall `line `pragma `begin_keywords `end_keywords".split()  # noqa: SIM905
)
_CLOSING = {"comment": ("*/", "a comment /*"), "attribute": ("*)", "an attribute (*")}


class Token(NamedTuple):
    """kind: name, keyword, number, real, string, symbol, system ($signed), nettype (text: none or wire) or end."""

    kind: str
    text: str
    line: int


class Macro(NamedTuple):
    """`parameters` None: used without parentheses."""

    parameters: tuple[str, ...] | None
    text: str


def tokens(text: str, where: str, macros: dict[str, Macro]) -> list[Token]:
    """The tokens of one text, the last of kind "end". `macros` is read and added to, as from file to file.

    Raises DesignError with `where` and the line for what is no Verilog token, for `include and for texts of more than
    MAXIMUM_BYTES characters or MAXIMUM_TOKENS tokens.
    """
    if len(text) > MAXIMUM_BYTES:
        raise DesignError(
            f"{where} must have at most {MAXIMUM_BYTES} characters, but has {len(text)}; split off what is not needed."
        )
    return _Lexer(where, macros).tokens(text)


class _Lexer:
    def __init__(self, where: str, macros: dict[str, Macro]) -> None:
        self.where = where
        self.macros = macros
        self.output: list[Token] = []
        self.line = 1
        self.macro_depth = 0
        self.expansions = 0
        # One entry for every open `ifdef: (this branch is read, some branch was read already, line).
        self.conditions: list[tuple[bool, bool, int]] = []
        self.reading = True

    def fail(self, message: str) -> DesignError:
        return failure(Place(self.where, self.line), message)

    def tokens(self, text: str) -> list[Token]:
        self.scan(text)
        if self.conditions:
            self.line = self.conditions[-1][2]
            raise self.fail("`ifdef must be closed by `endif, but is not; add it")
        self.output.append(Token("end", "the end of the file", self.line))
        return self.output

    def scan(self, text: str) -> None:
        position = 0
        match_at = _TOKEN.match
        while position < len(text):
            match = match_at(text, position)
            kind = match.lastgroup if match else None
            if match is None or kind is None:
                position = self.unknown(text, position)
                continue
            position = match.end()
            if kind == "space":
                self.line += match[0].count("\n")
            elif kind in _CLOSING:
                position = self.skip(kind, text, position)
            elif kind == "directive":
                position = self.directive(match[0], text, position)
            elif self.reading:
                self.emit(kind, match[0])

    def unknown(self, text: str, position: int) -> int:
        """Steps over a character that begins no token, in text that a condition leaves out."""
        if self.reading:
            raise self.fail(f"syntax error: expected a Verilog token, but found {text[position : position + 12]!r}")
        self.line += text[position] == "\n"
        return position + 1

    def emit(self, kind: str, text: str) -> None:
        if kind == "name":
            kind = "keyword" if text in KEYWORDS else "name"
        elif kind == "escaped":
            kind, text = "name", text[1:]
        self.output.append(Token(kind, text, self.line))
        if kind == "number":
            self.line += text.count("\n")
        if len(self.output) > MAXIMUM_TOKENS:
            raise self.fail(
                f"a Verilog text must have at most {MAXIMUM_TOKENS} tokens, macros expanded, but has more; split it"
            )

    def skip(self, kind: str, text: str, position: int) -> int:
        closing, what = _CLOSING[kind]
        end = text.find(closing, position)
        if end < 0:
            raise self.fail(f"{what} must be closed by {closing}, but is not; close it")
        self.line += text.count("\n", position, end)
        return end + len(closing)

    # Directives.

    def directive(self, name: str, text: str, position: int) -> int:
        """Carries out the directive; returns where the text goes on."""
        if name in ("`ifdef", "`ifndef", "`elsif", "`else", "`endif"):
            end = self.conditional(name, text, position)
            self.reading = all(branch for branch, _, _ in self.conditions)
            return end
        if not self.reading:
            return position
        if name == "`define":
            return self.define(text, position)
        if name[1:] in self.macros:
            return self.expand(name[1:], text, position)
        end = _line_end(text, position)
        argument = text[position:end].split("//")[0].strip()
        if name == "`undef":
            self.macros.pop(argument, None)
        elif name == "`default_nettype":
            self.emit("nettype", argument)
        elif name == "`include":
            raise self.fail(
                f"`include is not followed, but got `include {argument}; give the included file before this one"
            )
        elif name not in _IGNORED:
            raise self.fail(f"a macro must be defined before it is used, but {name} is not; add a `define")
        return end

    def conditional(self, name: str, text: str, position: int) -> int:
        if name in ("`ifdef", "`ifndef", "`elsif"):
            match = _CONDITION.match(text, position)
            if match is None:
                raise self.fail(f"{name} must be followed by the name of a macro, but is not; correct it")
            holds = (match[1] in self.macros) == (name != "`ifndef")
            position = match.end()
        else:
            holds = True
        if name in ("`ifdef", "`ifndef"):
            if len(self.conditions) >= _MAXIMUM_MACRO_DEPTH:
                raise self.fail(f"`ifdef must be nested at most {_MAXIMUM_MACRO_DEPTH} deep, but is deeper; split it")
            self.conditions.append((holds, holds, self.line))
            return position
        if not self.conditions:
            raise self.fail(f"{name} must follow an `ifdef, but does not; remove it")
        _, done, line = self.conditions.pop()
        if name != "`endif":
            self.conditions.append((holds and not done, holds or done, line))
        return position

    def define(self, text: str, position: int) -> int:
        match = _DEFINE.match(text, position)
        if match is None:
            raise self.fail("`define must be followed by a name, but is not; correct it")
        start = end = match.end()
        while True:  # a backslash at the end of a line continues it
            end = _line_end(text, end)
            if not text[:end].endswith("\\", start) or end == len(text):
                break
            end += 1
        content = re.sub(r"//[^\n]*+", "", text[start:end]).replace("\\\n", "\n")
        if len(content) > _MAXIMUM_MACRO_TEXT:
            raise self.fail(f"a macro must have at most {_MAXIMUM_MACRO_TEXT} characters, but {match[1]!r} has more")
        parameters = tuple(name.strip() for name in match[2][1:-1].split(",")) if match[2] else None
        self.macros[match[1]] = Macro(parameters, content)
        self.line += text.count("\n", start, end)
        return end

    def expand(self, name: str, text: str, position: int) -> int:
        macro = self.macros[name]
        content = macro.text
        end = position
        if macro.parameters is not None:
            arguments, end = self.arguments(name, text, position)
            if len(arguments) != len(macro.parameters):
                raise self.fail(
                    f"macro `{name} must get {len(macro.parameters)} arguments, but got {len(arguments)}; correct it"
                )
            values = dict(zip(macro.parameters, arguments, strict=True))
            content = _NAME.sub(lambda match: values.get(match[0], match[0]), content)
        if self.macro_depth >= _MAXIMUM_MACRO_DEPTH or len(content) > _MAXIMUM_MACRO_TEXT:
            raise self.fail(f"a macro must not contain itself or grow without end, but `{name} does; correct it")
        self.expansions += 1
        if self.expansions > _MAXIMUM_EXPANSIONS:
            raise self.fail(
                f"macros must be used at most {_MAXIMUM_EXPANSIONS} times, but are used more; split the file"
            )
        line = self.line
        self.macro_depth += 1
        self.scan(content)
        self.macro_depth -= 1
        self.line = line + text.count("\n", position, end)
        return end

    def arguments(self, name: str, text: str, position: int) -> tuple[list[str], int]:
        """The texts between the parentheses of a macro's use, and where they end."""
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text) or text[position] != "(":
            raise self.fail(f"macro `{name} must be used with arguments in parentheses, but got none; add them")
        depth, start, arguments = 0, position + 1, []
        for end in range(position, min(len(text), position + _MAXIMUM_MACRO_TEXT)):
            character = text[end]
            if character in "([{":
                depth += 1
            elif character in ")]}":
                depth -= 1
            if depth == 0 or (depth == 1 and character == ","):
                arguments.append(text[start:end].strip())
                start = end + 1
            if depth == 0:
                return arguments, end + 1
        raise self.fail(f"the arguments of macro `{name} must be closed by ')', but are not; close them")


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
