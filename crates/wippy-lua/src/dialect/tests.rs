//! What goes in and what comes out.

use proptest::prelude::*;

use super::lexer::unquote;
use super::parser::{Parser, Stop};
use super::scope::Names;
use super::{Erased, Refused, erase};

/// The text that comes out.
fn erased(source: &str) -> String {
    match erase(source.as_bytes(), &mut || true) {
        Ok(Erased { text, .. }) => String::from_utf8(text.into_owned()).unwrap(),
        Err(refused) => panic!("{refused:?}: {source}"),
    }
}

fn refused(source: &str) -> String {
    match erase(source.as_bytes(), &mut || true) {
        Err(Refused::Wrong { line, column, message }) => format!("{line}:{column}: {message}"),
        other => panic!("{}: {}", other.is_ok(), source.get(..200).unwrap_or(source)),
    }
}

fn compiles(text: &[u8]) -> Result<(), String> {
    let lua = mlua::Lua::new();
    let chunk = lua.load(text);
    chunk.into_function().map(drop).map_err(|error| error.to_string())
}

/// Whether the whole of a text is read, and not left to Lua.
fn is_read(source: &[u8]) -> bool {
    Parser::new(source, Names::new([b"T".as_slice()].into()), &mut || true).chunk().is_ok()
}

fn check_plain(source: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(source).into_owned();
    compiles(source)?;
    if !is_read(source) {
        return Err(format!("not read: {text}"));
    }
    match erase(source, &mut || true) {
        Ok(Erased { text: same, types: None }) if *same == *source => Ok(()),
        other => Err(format!("{other:?}: {text}")),
    }
}

#[test]
fn plain_lua_stays_as_it_is() {
    for source in [
        "type = 5 local type = type(type) type.x = type 'x' type { 1 } x.type = y.type()",
        "local as, export, readonly = 1, 2, 3 as = 2 as(1) as { 1 } as 'x' as.x = 1 as:x()",
        "local as x = as\nas = 1 y = z as = 3 f = as g = x\nas(1)",
        "export = type export(type) readonly = export readonly.type = 1",
        "local a = b < c > (d) local e = f(g<h, i>(j)) local k = l < m, n > (o)",
        "::top:: local x = y ::l:: x = z ::m:: f() ::n:: goto top",
        "while true do local x = y\n::continue::\nend",
        "x = y ::a:: z = 1 ::b:: (f)() ::c:: local q = w ::d:: do end",
        "for i = 1, 2 do goto continue; ::continue:: end",
        "local x <const>, y <close> = 1, nil",
        "return function(...) local a, b = ... return a, b end, { ..., [1] = 2; x = 3 }",
        "a.b.c['d']:e(f){g}'h'[[i]].j, k = 1, 2",
        "local s = [==[ ]] ]=] type X = number ]==] --[[ type Y ]] .. 'a\\'b\\\nc\\z  \n  d'",
        "x = 0x.8p-3 + 3e+4 + .5 + 3. + 0xA.bp1 - -2 ^ -3 // 4 % 5",
        "x = not -#~a == b ~= c <= d >= e << f >> g & h | i ~ j .. k and l or m",
        "if a then elseif b then else end repeat local x = 1 until x do end;;;",
        "function a.b.c:d(e, ...) return end local function f() return; end",
        "local t = {} t.goto_ = 1 return",
        "return",
        "",
        "-- only a comment",
        "--[==[ a\n long one ]==]",
        "x = 'a' --> b\ny = 1",
    ] {
        check_plain(source.as_bytes()).unwrap();
    }
}

#[test]
fn every_lua_file_of_the_repository_is_taken() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut open = vec![root];
    let mut found = 0;
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let hidden = name.to_string_lossy().starts_with('.') || name == "target";
            if path.is_dir() && !hidden {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "lua") {
                found += 1;
                let source = std::fs::read(&path).unwrap();
                // Those with types become plain Lua, and all others stay.
                let taken = match compiles(&source) {
                    Ok(()) => check_plain(&source),
                    Err(_) => compiles(erased(&String::from_utf8_lossy(&source)).as_bytes()),
                };
                if let Err(wrong) = taken {
                    panic!("{}: {wrong}", path.display());
                }
            }
        }
    }
    assert!(found >= 10, "{found}");
}

/// What comes out, with runs of spaces as one.
fn squeezed(source: &str) -> String {
    erased(source).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn types_become_spaces() {
    for (source, expected) in [
        ("local n: number = 1", "local n = 1"),
        ("local a <const>: T, b: {string} <close> = 1, 2", "local a <const> , b <close> = 1, 2"),
        ("local a: T <const> = 1", "local a <const> = 1"),
        ("local m: Map<string, Map<string, number>>= {}", "local m = {}"),
        ("local m: Map<string, {T}>= {}", "local m = {}"),
        (
            "function f<T, U = string>(x: T, y?: U, ...: any): (string?, error?) end",
            "function f (x , y , ... ) end",
        ),
        (
            "function a.b:c(f: (a: string, number, ...T) -> (string?, error?)): T[] end",
            "function a.b:c(f ) end",
        ),
        ("local function f(): () -> () return g end", "local function f() return g end"),
        ("f(function<T>(x: T): T return x end)", "f(function (x ) return x end)"),
        (
            "for i: number = 1, 2 do end for k: string, v: any in pairs(t) do end",
            "for i = 1, 2 do end for k , v in pairs(t) do end",
        ),
        ("return x :: number + y as string .. z!", "return x + y .. z"),
        ("return -x :: any, (y :: any :: number) as T", "return -x , (y ) "),
        ("f(x :: any :: number, y as (string) as any)", "f(x , y )"),
        ("local y = x :: any :: \"a\"", "local y = x"),
        ("x!.y!:z()![1]! = f()!", "x .y :z() [1] = f()"),
        ("local x = i as number < 10 and j as Map<string, number>", "local x = i < 10 and j"),
        (
            "f<number>(x) local y = g<string, number>() local z = h<T>(1) o:m<T>(1)",
            "f (x) local y = g () local z = h (1) o:m (1)",
        ),
        ("type A = { a: number, b?: string; [\"c d\"]: T, ['e']?: U, [string]: any, }", ";"),
        ("type U =\n | 'a'\n | \"b\" | 1 | -2 | true | nil", ";"),
        ("export type G<T, U = {T}> = (T & { x: U }) | lib.G<T>?", ";"),
        ("type F = <T>(x: T, ...T) -> ...T type H = (number) -> (string) -> ()", "; ;"),
        ("type N = number @min(0) @max(10.5) type S = string @pattern(\"^a\") @min_len(1)", "; ;"),
        (
            "type R = { readonly a: number, @min(-1) readonly: number, readonly [string]: T, end: any }",
            ";",
        ),
        ("type L = readonly string[] type M = { readonly string }", "; ;"),
        ("type E = {} type D = { function } local f: function = g", "; ; local f = g"),
        ("local a = b :: string\n(f or g)()", "local a = b ; (f or g)()"),
        ("x = y\ntype A = B\n(f)()", "x = y ; (f)()"),
        ("if type(x) == 'a' then type T = string end", "if type(x) == 'a' then ; end"),
    ] {
        let text = erased(source);
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>().join(" "),
            expected.split_whitespace().collect::<Vec<_>>().join(" "),
            "{source}"
        );
        assert_eq!(text.len(), source.len(), "{source}");
        assert_eq!(text.lines().count(), source.lines().count(), "{source}");
        if let Err(wrong) = compiles(text.as_bytes()) {
            panic!("{wrong}: {source}");
        }
    }
    assert_eq!(erased("local n: {\n a: string,\r\n} = 1"), "local n   \n           \r\n  = 1");
}

#[test]
fn mistakes_have_their_place() {
    for (source, expected) in [
        ("local x: = 1", "1:10: expected a type, found `=`"),
        ("\n\nlocal é, x: number number = 1", ""),
        (
            "local function f(x: {number string}) end",
            "1:29: expected `}` after the type of a list, found `string`",
        ),
        ("type X = { a: }", "1:15: expected a type, found `}`"),
        (
            "type X = number @mni(1)",
            "1:18: there is no such annotation; known: @min, @max, @min_len, @max_len, @pattern",
        ),
        ("type X = number @min('a')", "1:22: expected a number, found `'a'`"),
        ("type X {}", "1:8: expected `=`, found `{`"),
        ("local t = 'é' as\t{", "1:19: expected a type, found the end of the text"),
        ("type A = string\r\ntype A = number", "2:6: the type `A` is declared twice in this block"),
        ("if x != y then end", "1:6: Lua writes `~=` for `!=`"),
        ("local f: (string) = 1\nlocal g: (a: string) = 2", "2:22: expected `->`, found `=`"),
        ("x = y :: string 'z'", "1:17: expected an expression, found `'z'`"),
        ("f(x as T (1))", "1:10: expected `)`, found `(`"),
        ("local s: 'a\\qb' = 1", "1:10: a string with a wrong escape"),
        ("type A = number @min(1e)", "1:22: malformed number near `1e`"),
        ("type A = number @max(-0x)", "1:23: malformed number near `0x`"),
        ("local a: 1 | 0x.p1 = 1", "1:14: malformed number near `0x.p1`"),
        ("local a: 1..2 = 1", "1:10: malformed number near `1..2`"),
        ("type A = string @pattern('[a')", "1:26: malformed pattern (missing ']')"),
        ("type A = string @pattern('a%')", "1:26: malformed pattern (ends with '%')"),
        ("type A = string @pattern('(a')", "1:26: unfinished capture"),
        ("type A = string @pattern('a)')", "1:26: invalid pattern capture"),
        ("type A = string @pattern('%1')", "1:26: invalid capture index %1 in pattern"),
        ("type A = string @pattern('%bx')", "1:26: malformed pattern (missing arguments to '%b')"),
        (
            "type A = number local __types__ = A",
            "1:23: the name `__types__` is taken where a script uses types as values",
        ),
    ] {
        if expected.is_empty() {
            assert!(compiles(erased(source).as_bytes()).is_err());
        } else {
            assert_eq!(refused(source), expected, "{source}");
        }
    }
}

#[test]
fn numbers_and_patterns_that_lua_takes_are_taken() {
    for number in ["1", "1.", ".5", "1e5", "1E+05", "0x1p-3", "0XA.bP1", "0x.8", "3.25e-2"] {
        assert_eq!(squeezed(&format!("local a: {number} | -{number} = 1")), "local a = 1");
    }
    for pattern in ["^a$", "%b()", "%f[%w]a+", "(a)(b)%1", "()a-", "[]]", "[^%]-]*", "$", "a$b"] {
        let source = format!("type A = string @pattern(\"{pattern}\") @min_len(1)");
        assert_eq!(squeezed(&source), ";", "{pattern}");
    }
}

/// A call of a variable `as` stays one, wherever the text names that variable.
#[test]
fn as_is_a_variable_where_the_text_names_one() {
    for source in [
        "local x = y as (7) local as = print",
        "local x = y as 'lit'\nas = 1",
        "local x = y as { 1 } f(as)",
        "function as() end local x = y as (7)",
        "local x = y\nas (7) local z = y as (7)",
        "local x = y as.z = 1 local z = y as (7)",
    ] {
        check_plain(source.as_bytes()).unwrap();
    }
    assert_eq!(
        squeezed("local t = x.as local x = y as (T) local z = y as {T}"),
        "local t = x.as local x = y local z = y"
    );
    assert_eq!(
        squeezed("local as = 1 local x = y as T f(y as (T))"),
        "local as = 1 local x = y f(y )"
    );
}

/// What a text of types may cost beside the text.
#[test]
fn types_are_bounded() {
    let wide = |count: usize| format!("type A = {{ {} }}", "a: b, ".repeat(count));
    assert_eq!(squeezed(&wide(30_000)), ";");
    assert!(refused(&wide(100_000)).ends_with("the types of this text have more than 65536 parts"));
    let forgotten = "local x: { a: b, c: d } = 1 x = 2\n".repeat(20_000);
    assert!(erased(&forgotten).starts_with("local x"));
    for more in [
        format!("type A = lib{}", ".a".repeat(100_000)),
        format!("type A = number {}", "@min(1) ".repeat(100_000)),
        format!("type A<{}T> = number", "T, ".repeat(100_000)),
        format!("type A = {}", "B | ".repeat(100_000)),
    ] {
        assert!(refused(&more).contains("parts"), "{}", more.get(..30).unwrap());
    }
    let named = |count: usize| format!("type A = number\n{}", "f(A)\n".repeat(count));
    assert!(erased(&named(60_000)).contains("__types__[1]"));
    assert_eq!(
        refused(&named(70_000)),
        "65538:3: the types of this text are named more than 65536 times outside of types"
    );
    // One that is no type in the end does not count.
    let plain = format!("local t = type A = t {}", "f(A) ".repeat(70_000));
    check_plain(plain.as_bytes()).unwrap();
    let long = "x".repeat(300_000);
    let fields = |count: usize| format!("{{ {} }}", format!("{long}: number, ").repeat(count));
    assert!(erased(&format!("type A = {} f(A)", fields(3))).contains("__types__"));
    assert!(erased(&format!("type A = {} f()", fields(4))).contains("f()"));
    assert!(
        refused(&format!("type B = number\ntype A = {} f(B, A)", fields(4))).starts_with(
            "2:1: the types that this text uses as values take more than 1048576 bytes"
        )
    );
}

/// Describing types asks as often as reading them, and is as fast.
#[test]
fn describing_is_linear_and_can_be_ended() {
    let source = |count: usize| {
        let locals: String = (0..count).map(|n| format!("v{n}: l{n}.T, ")).collect();
        let variables: String = (0..count).map(|n| format!("local l{n} ")).collect();
        format!("{variables} type A = {{ {locals} }} f(A)")
    };
    let source = source(16_000);
    let mut asked = 0;
    let begun = std::time::Instant::now();
    let outcome = erase(source.as_bytes(), &mut || {
        asked += 1;
        true
    });
    assert!(matches!(outcome, Ok(Erased { types: Some(_), .. })));
    // A search through all slots for each would take some 128 million steps.
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    let whole = asked;
    // At the end it is the description that asks.
    let mut left = whole - 5;
    let outcome = erase(source.as_bytes(), &mut || {
        left -= 1;
        left > 0
    });
    assert!(matches!(outcome, Err(Refused::Abandoned)));
    let begun = std::time::Instant::now();
    assert!(erased(&format!("x = a{}", "!".repeat(1_000_000))).starts_with("x = a  "));
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

/// What is no Lua either goes to the compiler, which says so on the right line.
#[test]
fn what_is_no_lua_is_left_to_lua() {
    for (source, part) in [
        ("local x: number = 1\nlocal y: string = = 2", ":2: unexpected symbol near '='"),
        ("local x: number = 1\nx += 1", ":2: syntax error near '+'"),
        ("local x = if a then b else c", ":1: unexpected symbol near 'if'"),
        ("while true do continue end", ":1: syntax error near 'end'"),
        ("return `a`", ":1: unexpected symbol near '`'"),
        (
            "type F = string\nfunction f(a: number)\n",
            ":3: 'end' expected (to close 'function' at line 2) near <eof>",
        ),
        ("x = 'a", ":1: unfinished string near <eof>"),
        ("x = 3y", ":1: malformed number near '3y'"),
        ("x = a?b", ":1: unexpected symbol near '?'"),
    ] {
        let wrong = compiles(erased(source).as_bytes()).unwrap_err();
        assert!(wrong.contains(part), "{wrong}");
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in
        [("(", ")"), ("{", "}"), ("f(", ")"), ("function() return ", " end"), ("a[", "]")]
    {
        let deep =
            |levels: usize| format!("return {}1{}", open.repeat(levels), close.repeat(levels));
        assert!(is_read(deep(150).as_bytes()), "{open}");
        assert!(compiles(erased(&deep(100_000)).as_bytes()).is_err());
        assert!(compiles(erased(&format!("return {}", open.repeat(100_000))).as_bytes()).is_err());
    }
    for statement in ["do ", "if a then ", "while a do ", "repeat ", "for i = 1, 2 do "] {
        assert!(compiles(erased(&statement.repeat(100_000)).as_bytes()).is_err());
    }
    for (open, close) in [
        ("{", "}"),
        ("(", ")"),
        ("A<", ">"),
        ("() -> ", ""),
        ("<T>() -> ", ""),
        ("{ [string]: ", "}"),
    ] {
        let deep = |levels: usize| {
            format!("local x: {}any{} = 1", open.repeat(levels), close.repeat(levels))
        };
        assert!(compiles(erased(&deep(40)).as_bytes()).is_ok(), "{open}");
        assert!(refused(&deep(100_000)).contains("types nest deeper than"), "{open}");
    }
    assert!(
        compiles(erased(&format!("type A = {}", "readonly ".repeat(100_000))).as_bytes()).is_ok()
    );
    assert!(refused(&format!("type A = b{}", "[]".repeat(100_000))).contains("suffixes"));
    assert!(compiles(erased(&format!("return {}1", "- ".repeat(100_000))).as_bytes()).is_err());
    assert!(
        compiles(erased(&format!("return 1{}", " + 1 :: any".repeat(100_000))).as_bytes()).is_ok()
    );
}

/// What looks ahead does not do so again and again.
#[test]
fn time_is_linear() {
    let mut tokens = 0_u64;
    let mut count = |source: &str| {
        tokens = 0;
        let mut go_on = || {
            tokens += 1024;
            true
        };
        drop(erase(source.as_bytes(), &mut go_on));
        tokens
    };
    for piece in ["a<", "f(a<b,", "x as ", "x as A<", "x :: A<", "local x: A<", "a<b<c>", "::a::b "]
    {
        let (short, long) = (count(&piece.repeat(10_000)), count(&piece.repeat(40_000)));
        assert!(long <= short * 5 + 10_000, "{piece}: {short} {long}");
    }
}

#[test]
fn it_ends_where_nobody_waits() {
    let source = "local x: number = 1 ".repeat(10_000);
    let mut left = 3;
    let outcome = erase(source.as_bytes(), &mut || {
        left -= 1;
        left > 0
    });
    assert!(matches!(outcome, Err(Refused::Abandoned)));
}

#[test]
fn strings_stand_for_what_they_say() {
    for (token, expected) in [
        (r#""a\n\65\x42\u{E9}\z  b\\""#, Some("a\nAB\u{e9}b\\")),
        ("[[\na]]", Some("a")),
        ("[==[a]]]==]", Some("a]]")),
        (r#""\q""#, None),
        (r#""\300""#, None),
    ] {
        assert_eq!(
            unquote(token.as_bytes()),
            expected.map(|text| text.as_bytes().to_vec()),
            "{token}"
        );
    }
}

#[test]
fn types_as_values() {
    let described = |source: &str| match erase(source.as_bytes(), &mut || true) {
        Ok(Erased { text, types }) => {
            (String::from_utf8(text.into_owned()).unwrap(), types.is_some())
        }
        Err(refused) => panic!("{refused:?}: {source}"),
    };
    for (source, expected) in [
        ("type A = B", ";         "),
        ("type A = B return A", ";          return __types__[1]"),
        ("return A, B type A = C type B = D", "return A, B type A = C type B = D"),
        ("local x = A\ntype A = C", "local x = __types__[1]\n;         "),
        ("type A = C local A = A return A", ";          local A = __types__[1] return A"),
        ("local A = 1 type A = C return A", "local A = 1 ;          return A"),
        ("type A = C A = 1 return A", ";          A = 1 return A"),
        ("type A = C function A.f() end return A", ";          function A.f() end return A"),
        ("do type A = C f(A) end return A", "do ;          f(__types__[1]) end return A"),
        (
            "type A = C do type A = D f(A) end return A",
            ";          do ;          f(__types__[1]) end return __types__[2]",
        ),
        (
            "type A = C return { A = A, x.A, A:is(1) }",
            ";          return { A = __types__[1], x.A, __types__[1]:is(1) }",
        ),
        (
            "local l = 1 type A = l.B return A",
            "local l = 1 ;__types__[0](1,l);            return __types__[1]",
        ),
    ] {
        let (text, has_types) = described(source);
        assert_eq!(text, expected);
        assert_eq!(has_types, expected.contains("__types__"), "{source}");
    }
}

fn name() -> impl Strategy<Value = String> {
    const NAMES: [&str; 10] =
        ["a", "T", "type", "as", "export", "readonly", "x1", "any", "f", "const"];
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

/// Expressions of plain Lua, written with as little space as Lua needs.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        name(),
        Just("1".to_owned()),
        Just("'s'".to_owned()),
        Just("[[l]]".to_owned()),
        Just("nil".to_owned()),
        Just("...".to_owned()),
        Just("0x1p4".to_owned()),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let operator = prop::sample::select(
            &[
                "+", "-", "*", "/", "//", "%", "^", "..", "<", "<=", ">", ">=", "==", "~=", "&",
                "|", "~", "<<", ">>", "and", "or",
            ][..],
        );
        let unary = prop::sample::select(&["-", "not", "#", "~"][..]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (unary, inner.clone()).prop_map(|(op, a)| format!("{op} {a}")),
            inner.clone().prop_map(|a| format!("({a})")),
            (name(), prop::collection::vec(inner.clone(), 0..3))
                .prop_map(|(f, args)| format!("{f}({})", args.join(", "))),
            (name(), name(), inner.clone()).prop_map(|(o, m, a)| format!("{o}:{m}({a})")),
            (name(), name()).prop_map(|(o, f)| format!("{o}.{f}")),
            (name(), inner.clone()).prop_map(|(o, k)| format!("{o}[ {k} ]")),
            (name(), inner.clone()).prop_map(|(k, v)| format!("{{{k}={v};[ {v} ]={k},{v}}}")),
            (name(), inner).prop_map(|(p, r)| format!("function({p},...)return {r} end")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    let simple = prop_oneof![
        (name(), expression()).prop_map(|(n, e)| format!("local {n} = {e}")),
        (name(), expression()).prop_map(|(n, e)| format!("{n} = {e}")),
        (name(), expression()).prop_map(|(n, e)| format!("{n}({e})")),
        (name(), name()).prop_map(|(n, f)| format!("{n}.{f} = {f}")),
        (name(), expression()).prop_map(|(n, e)| format!("local {n} <const> = {e}")),
        (name(), name()).prop_map(|(n, p)| format!("function {n}.{p}:{n}({p}, ...) end")),
        Just(";".to_owned()),
        Just("do local a ::l:: end".to_owned()),
    ];
    simple.prop_recursive(3, 20, 3, |inner| {
        let block = prop::collection::vec(inner, 0..3).prop_map(|all| all.join("\n"));
        prop_oneof![
            (expression(), block.clone()).prop_map(|(e, b)| format!("if {e} then {b} end")),
            (expression(), block.clone()).prop_map(|(e, b)| format!("while {e} do {b} end")),
            (expression(), block.clone()).prop_map(|(e, b)| format!("repeat {b}\nuntil {e}")),
            (name(), expression(), block.clone())
                .prop_map(|(n, e, b)| format!("for {n} in {e} do {b} end")),
            block.prop_map(|b| format!("do {b} end")),
        ]
    })
}

fn type_() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        name(),
        Just("nil".to_owned()),
        Just("'a'".to_owned()),
        Just("-1".to_owned()),
        Just("lib.T".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|t| format!("({t})?")),
            inner.clone().prop_map(|t| format!("({t})[]")),
            inner.clone().prop_map(|t| format!("{{{t}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} | {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) & ({b})")),
            (name(), inner.clone()).prop_map(|(n, t)| format!("{{ {n}?: {t}, ['x']: {t} }}")),
            (name(), inner.clone()).prop_map(|(n, t)| format!("({n}: {t}, ...{t}) -> ({t}, {t})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("Map<{a}, {b}>")),
        ]
    })
}

proptest! {
    #[test]
    fn plain_lua_of_any_kind_stays_as_it_is(
        statements in prop::collection::vec(statement(), 0..6),
    ) {
        let source = statements.join("\n");
        if compiles(source.as_bytes()).is_ok() {
            prop_assert_eq!(check_plain(source.as_bytes()), Ok(()));
        }
    }

    /// With the types and without them it is the same program.
    #[test]
    fn types_of_any_kind_are_erased(
        // A look ahead takes no more than so many tokens.
        type_ in type_().prop_filter("short", |type_| type_.len() < 250),
        expression in expression(),
    ) {
        let dialect = format!(
            "local a: {type_} = (({expression}) as {type_})\nfor b: {type_} in c do end\n\
             type U<T> = {type_}\nlocal function f(x?: {type_}, ...: {type_}): {type_} end\n\
             g(({expression}) :: {type_})"
        );
        let text = erased(&dialect);
        prop_assert_eq!(text.len(), dialect.len());
        let plain = format!(
            "local a = (({expression}) ) for b in c do end ; local function f(x , ... ) end \
             g(({expression}) )"
        );
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        prop_assert_eq!(squeeze(&text), squeeze(&plain));
    }

    /// Whatever it is given, it comes to an end, and lines stay.
    #[test]
    fn any_text_is_taken(pieces in prop::collection::vec(prop::sample::select(&[
        "type ", "export ", "local ", "x", " as ", "::", ":", "<", ">", "(", ")", "{", "}", "[",
        "]", "=", "|", "&", "?", "!", "@min(1)", "->", "...", ",", "'s'", "1", "function ",
        " end ", "\n", "if ", " then ", "return ", "[[", "--[[", "\\", "\"", "é",
    ][..]), 0..40)) {
        let source = pieces.concat();
        if let Ok(Erased { text, types: None }) = erase(source.as_bytes(), &mut || true) {
            prop_assert_eq!(text.len(), source.len());
            let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(lines(&text), lines(source.as_bytes()));
        }
    }
}

#[test]
fn stops_are_told_apart() {
    let mut go_on = || true;
    let outcome = Parser::new(b"x = = 1", Names::default(), &mut go_on).chunk();
    assert!(matches!(outcome, Err(Stop::Plain)));
    assert_eq!(squeezed("local x: T"), "local x");
}
