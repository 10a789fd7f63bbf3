//! `find`, `match`, `gmatch` and `gsub` beside Lua's own: the same calls in a VM of ours and
//! in a plain one must give the same results and the same errors.

use crate::support::{check, compare_source, failure, text};
use proptest::prelude::*;
use wippy_model::Value;

/// Runs the calls of each case and gives what came of them as one text.
const RUN: &str = r#"
local out = {}
local function note(...)
    local n = select('#', ...)
    local parts = { n }
    for i = 1, n do parts[#parts + 1] = type((select(i, ...))) .. ':' .. tostring((select(i, ...))) end
    out[#out + 1] = table.concat(parts, '|')
end
for _, case in ipairs(cases) do
    local s, p, init, repl, count = case[1], case[2], case[3], case[4], case[5]
    note(pcall(string.find, s, p, init))
    note(pcall(string.find, s, p, init, true))
    note(pcall(string.match, s, p, init))
    note(pcall(function()
        local n = 0
        for a, b, c in string.gmatch(s, p, init) do
            note(a, b, c)
            n = n + 1
            if n > 50 then break end
        end
        return n
    end))
    note(pcall(string.gsub, s, p, repl))
    note(pcall(string.gsub, s, p, repl, count))
    note(pcall(string.gsub, s, p, { a = 'x', b = 1, [''] = 'e', c = true, [1] = 'one', ab = false }))
    note(pcall(string.gsub, s, p, function(...) note(...) if ... ~= 'a' then return ... end end, count))
    note(pcall(string.gsub, s, p, setmetatable({}, { __index = function(_, k) return k .. '.' end })))
end
return table.concat(out, '\n')
"#;

#[derive(Debug, Clone)]
struct Case {
    subject: String,
    pattern: String,
    init: Option<i64>,
    replacement: String,
    count: Option<i64>,
}

fn quote(text: &str) -> String {
    let bytes: String = text.bytes().map(|byte| format!("\\{byte:03}")).collect();
    format!("\"{bytes}\"")
}

fn source(cases: &[Case]) -> String {
    let number = |number: Option<i64>| number.map_or("nil".to_owned(), |n| format!("({n})"));
    let cases: Vec<String> = cases
        .iter()
        .map(|case| {
            format!(
                "{{ {}, {}, {}, {}, {} }}",
                quote(&case.subject),
                quote(&case.pattern),
                number(case.init),
                quote(&case.replacement),
                number(case.count)
            )
        })
        .collect();
    format!("local cases = {{ {} }}{RUN}", cases.join(", "))
}

fn compare(cases: &[Case]) -> Result<(), String> {
    compare_source(&source(cases)).map_err(|difference| match cases {
        [case] => format!("{difference} in {case:?}"),
        _ => cases.iter().find_map(|case| compare(std::slice::from_ref(case)).err()).unwrap(),
    })
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "c", ".", "%a", "%w", "%s", "%d", "%A", "%.", "x"]),
        3 => prop::sample::select(vec!["[ab]", "[^a]", "[a-c]", "[%a_]", "[]]", "[^]a]", "[a-]", "[%-x]", "[--%%]"]),
        3 => prop::sample::select(vec!["(", ")", "()", "(a)", "(.-)", "(a*)", "(b+)c"]),
        3 => prop::sample::select(vec!["%1", "%2", "%bab", "%b()", "%f[a]", "%f[^a]", "%f[%w]", "%f[%z]"]),
        2 => prop::sample::select(vec!["^", "$", "*", "+", "-", "?"]),
        1 => prop::sample::select(vec!["%", "[", "[^", "[a", "%b", "%ba", "%f", "%fa", "%0", "%9", "]", "\0", "[%"]),
    ];
    let suffix = prop_oneof![4 => Just(""), 2 => prop::sample::select(vec!["*", "+", "-", "?"])];
    (prop::bool::weighted(0.2), prop::collection::vec((piece, suffix), 0..7)).prop_map(
        |(anchored, pieces)| {
            let mut pattern = if anchored { "^".to_owned() } else { String::new() };
            for (piece, suffix) in pieces {
                pattern.push_str(piece);
                pattern.push_str(suffix);
            }
            pattern
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let subject = prop_oneof![
        4 => "[abc]{0,12}",
        2 => "[ab()x. 1]{0,16}",
        1 => "[a\\]%\\-\u{0}]{0,8}",
    ];
    let replacement = prop_oneof![
        3 => "[xy]{0,3}",
        3 => prop::sample::select(vec!["%0", "%1", "<%1>%2", "%%", "%0%0", "%", "%a", "x%9y", "%1%"]).prop_map(str::to_owned),
    ];
    let init = prop_oneof![3 => Just(None), 2 => (-15_i64..15).prop_map(Some)];
    let count = prop_oneof![2 => Just(None), 1 => (-1_i64..4).prop_map(Some)];
    (subject, pattern(), init, replacement, count).prop_map(
        |(subject, pattern, init, replacement, count)| Case {
            subject,
            pattern,
            init,
            replacement,
            count,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn searches_are_those_of_lua(cases in prop::collection::vec(case(), 30)) {
        if let Err(difference) = compare(&cases) {
            return Err(TestCaseError::fail(difference));
        }
    }
}

#[test]
fn limits_are_those_of_lua() {
    let case = |subject: &str, pattern: &str| Case {
        subject: subject.to_owned(),
        pattern: pattern.to_owned(),
        init: None,
        replacement: "%1".to_owned(),
        count: None,
    };
    let long = "a".repeat(300);
    let mut cases = vec![
        case(&long, &"a?".repeat(200)),
        case(&long, &"()".repeat(32)),
        case(&long, &"()".repeat(33)),
        case(&long, &format!("{}{}", "(".repeat(32), ")".repeat(32))),
        case(&long, &"a".repeat(250)),
        case(&long, ".-b"),
        case(&long, "[%z\0]*$"),
        case("THE (quick) fox", "%f[%a]%a+%f[%A]"),
    ];
    for depth in 195..205 {
        cases.push(case(&long, &"a?".repeat(depth)));
        cases.push(case(&long, &"a-".repeat(depth)));
        cases.push(case(&long, &format!("{}a*", "a?".repeat(depth))));
    }
    for byte in 0..=255_u8 {
        let class = char::from(byte);
        if class.is_ascii() {
            let all: String = (0..128_u8).map(char::from).collect();
            cases.push(case(&all, &format!("%{class}+")));
            cases.push(case(&all, &format!("[^%{class}x]+")));
        }
    }
    for cases in cases.chunks(20) {
        compare(cases).unwrap();
    }
}

#[test]
fn arguments_are_checked_as_by_lua() {
    let source = r#"
        local out = {}
        local function note(...) out[#out + 1] = tostring((select(2, pcall(...)))) end
        for _, f in ipairs { 'find', 'match', 'gmatch', 'gsub' } do
            note(string[f]) note(string[f], 'a') note(string[f], {}, 'a') note(string[f], 'a', 'a', {})
            note(string[f], 'a', 'a', 'x') note(string[f], 'a', 'a', 'x', 'y') note(string[f], 12, 1, 1)
            note(string[f], 'a', 'a', true) note(string[f], 'a', 'a', '%2') note(string[f], 'a', 'a', 1.5)
        end
        note(string.gsub, 'a', 'a', setmetatable({}, { __index = error }))
        note(string.gsub, 'a', 'a', function() return {} end)
        note(string.gsub, 'a', 'a', setmetatable({}, { __name = 'mine', __index = { a = 2.5 } }))
        note(string.gsub, 'a', 'a', print, 0)
        local calls = 0
        note(string.gsub, ('x'):rep(100), '.', function() calls = calls + 1 end, 7)
        out[#out + 1] = calls
        return (table.concat(out, '\n'):gsub('function: [%w: ]+', 'f'):gsub('table: %w+', 't'))"#;
    compare_source(source).unwrap();
}

#[test]
fn callbacks_may_wait() {
    let sleep = "local sleep = require('time').sleep ";
    check(&[
        (
            &format!(
                "{sleep} return (('a b c'):gsub('%a', function(x) sleep('1ms') return x .. x end))"
            ),
            text("aa bb cc"),
        ),
        (
            &format!(
                "{sleep} return (('a b'):gsub('%a', setmetatable({{}}, {{ __index = function(_, x) sleep('1ms') return x .. x end }})))"
            ),
            text("aa bb"),
        ),
        (
            &format!(
                "{sleep} return (('a b'):gsub('^%a', function(x) sleep('1ms') return 'x' end))"
            ),
            text("x b"),
        ),
        (
            &format!(
                "{sleep} local s = '' for x in ('a b'):gmatch('%a') do sleep('1ms') s = s .. x end return s"
            ),
            text("ab"),
        ),
        (
            "local co = coroutine.wrap(function() return (('abc'):gsub('.', coroutine.yield)) end)
             return co() .. co('1') .. co('2') .. co('3')",
            text("abc123"),
        ),
    ]);
}

#[test]
fn long_patterns_and_replacements() {
    check(&[
        (
            "local n = ('a'):rep(1500000) .. 'b' local s = 'ba' .. n .. n local i, j = s:find(n, 1, true) return i .. ' ' .. j",
            text("3 1500003"),
        ),
        (
            "local n = ('ab'):rep(600000) .. 'c' local i, j = ('ab' .. n):find(n, 1, true) return i .. ' ' .. j",
            text("3 1200003"),
        ),
        ("return tostring(('x'):rep(10):find(('x'):rep(2000000), 1, true))", text("nil")),
        (
            "return tostring(('x'):find('', 2, true)) .. tostring(('x'):find('', 3, true))",
            text("2nil"),
        ),
        ("return (select(2, ('x'):rep(3):find('[' .. ('a'):rep(65000) .. 'x]+')))", Value::Int(3)),
    ]);
    // A replacement that is expanded in several slices.
    compare_source("return (('ab'):rep(20):gsub('(a)()', ('%1-%2%%%0'):rep(20000)))").unwrap();
    compare_source("return (('ab'):rep(200):gsub('((b-)a)', ('%2'):rep(20000) .. '%1'))").unwrap();
    for call in ["find(p)", "match(p)", "gmatch(p)", "gsub(p, '')"] {
        let source = format!("local p = ('a'):rep(70000) .. '*' ; ('x'):{call}");
        let error = failure(&source);
        assert!(error.message().contains("pattern too long"), "{error}");
    }
}
