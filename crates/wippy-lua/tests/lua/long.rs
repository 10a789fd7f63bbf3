//! Functions of Lua's libraries that ours stand for where they take long: they do what
//! Lua's own do.

use proptest::prelude::*;

use crate::support::{check, compare_source, failure, text};

const SOURCES: [&str; 15] = [
    // Sorting: the same order, also of what compares equal, and the same mistakes.
    "local t = {} for i = 1, 5000 do t[i] = (i * 7919) % 5003 end table.sort(t) return table.concat(t, ' ')",
    "local t = {} for i = 1, 9000 do t[i] = (i * 7919) % 5003 / 4 end table.sort(t) return table.concat(t, ' ')",
    "local t = { 3, 1.5, 2, -0.5, 1 << 62, 2^70, -1e300 } table.sort(t) return table.concat(t, ' ')",
    "local t = {} for i = 1, 9000 do t[i] = ('%04d'):format((i * 7919) % 9973) end table.sort(t) return table.concat(t, ' ')",
    "local t = {} for i = 1, 80 do t[i] = { i * 31 % 7, i } end
     table.sort(t, function(a, b) return a[1] < b[1] end)
     local s = '' for _, v in ipairs(t) do s = s .. v[1] .. '.' .. v[2] .. ' ' end return s",
    "local t = {} for i = 1, 500 do t[i] = tostring(i * 37 % 501) end table.sort(t, function(a, b) return a > b end) return table.concat(t, ' ')",
    "local out = {}
     local function note(...) out[#out + 1] = tostring((select(2, pcall(...)))):gsub('0x%w+', '') end
     note(table.sort) note(table.sort, 1) note(table.sort, {}, 1) note(table.sort, { 1, 2 }, 1) note(table.sort, { 1, 2 }, {})
     note(table.sort, { 1, 'x' }) note(table.sort, { {}, {} }) note(table.sort, { 1, 2, nil, 4 })
     note(table.sort, { 3, 2, 1, 4, 5, 6, 7 }, function() return true end)
     note(function() table.sort({ 3, 2, 1, 4, 5, 6, 7 }, function() return true end) end)
     note(table.sort, { 3, 2, 1, 4 }, function() error('mine', 0) end)
     note(table.sort, setmetatable({}, { __len = function() return 1 << 40 end }))
     note(table.sort, setmetatable({}, { __len = function() return 0.5 end }))
     local kept = { 5, 3, 4, 1, 2 }
     table.sort(setmetatable({}, { __len = function() return 5 end, __index = kept, __newindex = kept }))
     out[#out + 1] = table.concat(kept, ' ')
     return table.concat(out, '\\n')",
    // Long tables.
    "local t = {} for i = 1, 20000 do t[i] = i end
     table.insert(t, 1, 'a') table.insert(t, 3, 'b') local x = table.remove(t, 1) local y = table.remove(t, 5)
     return #t .. x .. y .. t[1] .. t[2] .. t[20000] .. tostring(t[20001]) .. select('#', table.insert(t, 1, 1))",
    "local t = {} for i = 1, 20000 do t[i] = i end
     table.move(t, 1, 20000, 3) local u = table.move(t, 5, 9000, 1, {}) table.move(t, 2, 10000, 1)
     return table.concat(t, ',') .. table.concat(u, ',')",
    "local t = {} for i = 1, 10000 do t[i] = i end
     return table.concat(t) .. table.concat(t, ', ') .. table.concat(t, '', 3, 9000) .. table.concat(t, 1, 1, 5000)",
    "local t = {} for i = 1, 10000 do t[i] = i end t[7000] = {} return (tostring(select(2, pcall(table.concat, t))))",
    // Long texts.
    "local s = {} for _, n in ipairs { 300000, 300001, 524288, 524287, 786431 } do
        local a, b = ('x'):rep(n), ('ab'):rep(n, ', ') s[#s + 1] = #a .. ' ' .. #b .. b:sub(1, 9) .. b:sub(-9)
        assert(not a:find('[^x]')) assert(select(2, b:gsub('ab', '')) == n) end return table.concat(s, ' ')",
    "local s = ('aBc'):rep(100001) .. 'dE' return s:upper() .. s:lower() .. s:reverse()",
    "local s, out = ('a\u{e4}\u{20ac}\u{1f600}'):rep(80000) .. 'x', {}
     local function note(...) out[#out + 1] = table.concat({ select('#', ...), tostring((...)), tostring((select(2, ...))) }, ' ') end
     for _, at in ipairs { 1, 3, 4, -1, -2, 65537, 65536, 65535, #s, #s + 1, #s + 2, -#s, -#s - 1 } do
        note(pcall(utf8.len, s, at)) note(pcall(utf8.len, s, 1, at)) note(pcall(utf8.len, s, 2, at))
        for _, n in ipairs { 1, 2, 5, 100000, 0, -1, -3, -100000, 1000000 } do note(pcall(utf8.offset, s, n, at)) end
     end
     for _, bad in ipairs { '\\xff', '\\x80\\x80\\x80\\x80\\x80\\x80\\x80\\x80\\x80', '\\xc3', '\\xf7\\xbf\\xbf\\xbf' } do
        for _, before in ipairs { 65534, 65535, 65536, 131070 } do
            note(utf8.len(('y'):rep(before) .. bad .. ('z'):rep(300000)))
            note(utf8.len(('y'):rep(before) .. bad .. ('z'):rep(300000), 1, -1, true))
        end
     end
     return table.concat(out, '\\n')",
    // Loading.
    "local out = {}
     local function note(...) out[#out + 1] = tostring((...)):gsub('0x%w+', '') .. tostring((select(2, ...))) end
     note(load('return 1')) note(load('return')()) note(load('x x')) note(load('x x', '=name')) note(load('x x', '@name.lua', 't'))
     note(load('return x', 'n', 't', { x = 5 })()) note(pcall(load('return x', 'n', 't', nil))) note(pcall(load)) note(pcall(load, {}))
     local parts = { 'return ', '4', '2', nil } local n = 0
     note(load(function() n = n + 1 return parts[n] end)())
     note(load(function() n = n + 1 return n < 30000 and ' ' or nil end)) note(pcall(load, 'x', {})) note(pcall(load, 'x', 'x', {}))
     note(load('return ' .. ('1 + '):rep(50000) .. '1')())
     return table.concat(out, '\\n')",
];

#[test]
fn they_do_what_luas_own_do() {
    for source in SOURCES {
        compare_source(source).unwrap_or_else(|difference| panic!("{difference} in {source}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sorting_is_that_of_lua(items in prop::collection::vec(0_i64..60, 0..99), order in 0_usize..3) {
        let less = ["nil", "function(a, b) return a > b end", "function(a, b) return a % 10 < b % 10 end"][order];
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        let source = format!(
            "local t = {{ {} }} table.sort(t, {less}) return table.concat(t, ' ')",
            items.join(", ")
        );
        if let Err(difference) = compare_source(&source) {
            return Err(TestCaseError::fail(difference));
        }
    }
}

#[test]
fn they_give_way_and_may_wait() {
    let sleep = "local sleep = require('time').sleep ";
    check(&[
        (
            &format!("{sleep} local t = {{ 3, 1, 2 }} table.sort(t, function(a, b) sleep('1ms') return a < b end) return table.concat(t)"),
            text("123"),
        ),
        (
            &format!("{sleep} local m = {{ __lt = function(a, b) sleep('1ms') return a[1] < b[1] end }}
                local t = {{}} for i = 1, 5 do t[i] = setmetatable({{ 6 - i }}, m) end table.sort(t) return t[1][1] .. t[5][1]"),
            text("15"),
        ),
        ("for i = 1, 30 do local t = {} for i = 1, 50000 do t[i] = { i } end end collectgarbage() return collectgarbage('count') < 9000", true.into()),
    ]);
}

#[test]
fn what_makes_no_sense_that_long_is_refused() {
    for (source, part) in [
        ("string.format(('x'):rep(300000))", "too long"),
        ("string.format('%q', ('x'):rep(300000))", "too long"),
        ("string.pack('c99999999', '')", "too long"),
        ("string.pack(('<'):rep(300000))", "too long"),
        ("os.date(('%c'):rep(10000))", "too long"),
        (
            "local parts = {} for i = 1, 20000 do parts[i] = '::a' .. i .. '::x=1 ' end
             assert(load(('f = function() ' .. table.concat(parts) .. ' end '):rep(60)))",
            "takes too long",
        ),
    ] {
        let error = failure(source);
        assert!(error.message().contains(part), "{source}: {error}");
    }
    check(&[
        ("return #string.format('%s', ('x'):rep(300000))", 300_000.into()),
        ("return os.date('%Y', 0)", text("1970")),
    ]);
}
