//! `table.freeze`, `table.create`, `unpack`, and `%d` of fractions.

use wippy_model::Value;

use crate::support::{check, failure, list, text};

#[test]
fn a_frozen_table_is_read() {
    check(&[
        ("local t = { 1, 2, x = 3 } return table.freeze(t) == t and table.isfrozen(t)", true.into()),
        ("return table.isfrozen({})", false.into()),
        ("return table.isfrozen(table.freeze(table.freeze({})))", true.into()),
        ("local t = table.freeze({ 1, 2, x = 3 }) return t[1] + t[2] + t.x + #t", Value::Int(8)),
        ("local t, n = table.freeze({ 1, 2, x = 3 }), 0 for _, v in pairs(t) do n = n + v end return n", Value::Int(6)),
        ("local t, n = table.freeze({ 1, 2, x = 3 }), 0 for _, v in ipairs(t) do n = n + v end return n", Value::Int(3)),
        ("local t, n = table.freeze({ 1, 2, x = 3 }), 0 for _, v in next, t do n = n + v end return n", Value::Int(6)),
        ("return next(table.freeze({}))", Value::Nil),
        ("local t = table.freeze({ x = 3, 4 }) return rawget(t, 'x') + rawlen(t) + (rawget(t, 'y') or 0)", Value::Int(4)),
        ("return table.concat(table.freeze({ 'a', 'b' }), '-')", text("a-b")),
        ("return select('#', table.unpack(table.freeze({ 1, 2, 3 })))", Value::Int(3)),
        ("return table.freeze({ 1, { x = 2 } })", list([Value::Int(1), Value::map([("x", Value::Int(2))])])),
        ("return table.move(table.freeze({ 1, 2 }), 1, 2, 1, {})[2]", Value::Int(2)),
        ("local t = table.freeze({ { 1 } }) t[1][1] = 2 return t[1][1]", Value::Int(2)),
        ("local C = { hi = function(self) return self.n end } C.__index = C
          local o = table.freeze(setmetatable({ n = 5 }, C)) return o:hi() + (getmetatable(o) == C and 1 or 0)", Value::Int(6)),
        ("local o = table.freeze(setmetatable({ n = 5 }, { __call = function(s) return s.n end, __len = function() return 9 end }))
          return o() + #o", Value::Int(14)),
        ("local C = table.freeze({ n = 7 }) return setmetatable({}, { __index = C }).n", Value::Int(7)),
    ]);
    check(&[
        (
            "type T = { n: {number} } return T:is(table.freeze({ n = table.freeze({ 1 }) })) ~= nil",
            true.into(),
        ),
        ("type T = {number} return T:is(table.freeze({ 'x' })) == nil", true.into()),
        (
            "local e = errors.new(table.freeze({ message = 'm', kind = errors.INVALID })) return e:kind()",
            text("Invalid"),
        ),
    ]);
}

#[test]
fn a_frozen_table_cannot_be_written() {
    let refused = "attempt to modify a frozen table";
    for write in [
        "t.x = 1",
        "t[1] = 5",
        "t.new = 1",
        "t[1] = nil",
        "rawset(t, 1, 5)",
        "rawset(t, 'new', 5)",
        "table.insert(t, 1)",
        "table.insert(t, 1, 1)",
        "table.remove(t)",
        "table.remove(t, 1)",
        "table.sort(t)",
        "table.sort(t, function(a, b) return a > b end)",
        "table.move({ 1 }, 1, 1, 1, t)",
        "table.move(t, 1, 2, 2)",
    ] {
        let error = failure(&format!("local t = table.freeze({{ 2, 1, x = 3 }}) {write}"));
        assert!(error.message().contains(refused), "{write}: {error}");
        check(&[(
            &format!(
                "local t = table.freeze({{ 2, 1, x = 3 }}) pcall(function() {write} end)
                 return t[1] == 2 and t[2] == 1 and t.x == 3 and #t == 2 and t.new == nil"
            ),
            true.into(),
        )]);
    }
    for (source, part) in [
        ("setmetatable(table.freeze({}), {})", "cannot change a protected metatable"),
        (
            "table.freeze({ __index = {} })",
            "a table with the metamethod '__index' cannot be frozen",
        ),
        ("table.freeze(errors.new('x'))", "a table with a protected metatable cannot be frozen"),
        (
            "table.freeze(setmetatable({}, { __index = function() end }))",
            "a table whose '__index' is no table cannot be frozen",
        ),
        ("table.freeze(1)", "table expected"),
    ] {
        let error = failure(source);
        assert!(error.message().contains(part), "{source}: {error}");
    }
    // However it is looked at, nothing gives out what is behind it.
    check(&[(
        "local inner
         local t = table.freeze(setmetatable({ 1 }, { __index = setmetatable({}, { __index = function(s) inner = s end }) }))
         local _ = t.missing
         inner.x = 5
         for f, s in pairs(t) do end
         local iterate, state = pairs(t)
         return t.x == 5 and rawget(t, 'x') == nil and state == t and #t == 1",
        true.into(),
    )]);
}

#[test]
fn tables_of_a_size() {
    check(&[
        ("local t = table.create(10) t[1] = 5 return #t", Value::Int(1)),
        ("local t = table.create(3, 'x') return table.concat(t)", text("xxx")),
        ("local t = table.create(100000, 7) return #t + t[100000]", Value::Int(100_007)),
        ("return #table.create(0)", Value::Int(0)),
    ]);
    for (source, part) in [
        ("table.create(-1)", "there are no negative sizes"),
        ("table.create(1 << 40)", "more elements than a table of this process can have"),
        ("table.create('x')", "number expected"),
    ] {
        assert!(failure(source).message().contains(part), "{source}");
    }
}

#[test]
fn unpack_is_global() {
    check(&[
        ("return select('#', unpack({ 1, 2, 3 }))", Value::Int(3)),
        ("return select(2, unpack({ 1, 2, 3 }, 2))", Value::Int(3)),
        ("return rawget(_G, 'unpack') == nil and unpack == unpack", true.into()),
    ]);
    assert!(failure("unpack({}, 1, 1e8)").message().contains("too many results"));
}

#[test]
fn fractions_are_cut_off_by_d() {
    check(&[
        ("return string.format('%d %i', 3.5, -3.7)", text("3 -3")),
        ("return string.format('%5.2f %% %03d|%s', 1.5, 7.9, 2.5)", text(" 1.50 % 007|2.5")),
        ("return ('%d'):format(3.0)", text("3")),
        ("return string.format('%s %d %x', 'a', 1.5, 255)", text("a 1 ff")),
    ]);
    for source in [
        "string.format('%x', 3.5)",
        "string.format('%d', 0/0)",
        "string.format('%d', 1e300)",
        "string.format('%d', 'x')",
        "string.format('%', 1.5)",
        "string.format('%d %d', 1.5)",
    ] {
        failure(source);
    }
}
