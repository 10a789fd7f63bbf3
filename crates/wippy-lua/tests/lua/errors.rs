//! `errors`, and what uncaught errors become.

use wippy_model::{Exit, Kind, Value};

use crate::support::{check, exit, failure, list, text};

#[test]
fn error_objects() {
    check(&[
        (
            "local e = errors.new({ message = 'm', kind = errors.NotFound, retryable = true, details = { n = 1 } })
             return { e:kind(), e:message(), e:retryable(), e:details().n, tostring(e), 'x ' .. e,
                      e:stack():match('script.lua:1') }",
            list([
                text("NotFound"), text("m"), Value::Bool(true), Value::Int(1), text("m"), text("x m"),
                text("script.lua:1"),
            ]),
        ),
        (
            "local e = errors.new('plain') return { e:kind(), e:message(), e:retryable() == nil, e:details() == nil }",
            list([text("Internal"), text("plain"), Value::Bool(true), Value::Bool(true)]),
        ),
        ("return errors.new(errors.CONFLICT, 'm', 5):details()", Value::Int(5)),
        ("return errors.RATE_LIMITED", text("RateLimited")),
        (
            "local cause = errors.new('Timeout', 'slow')
             local e = errors.wrap(errors.wrap(cause, 'b'), 'a')
             return { tostring(e), e:kind(), errors.is(e, 'Timeout'), errors.is(e, cause),
                      errors.is(e, 'Invalid'), errors.is('x', 'Timeout'), errors.is(nil, nil),
                      e:unwrap():unwrap() == cause }",
            list([
                text("a: b: slow"), text("Timeout"), Value::Bool(true), Value::Bool(true),
                Value::Bool(false), Value::Bool(false), Value::Bool(false), Value::Bool(true),
            ]),
        ),
        ("return tostring(errors.wrap('text', 'while'))", text("while: text")),
        ("return errors.call_stack():match('script.lua:1')", text("script.lua:1")),
        ("local _, e = pcall(errors.new('x').kind, 5) return e:kind()", text("Invalid")),
        ("local _, e = pcall(error, errors.new('x')) return tostring(e)", text("x")),
        ("return (pcall(errors.new))", Value::Bool(false)),
        ("return (pcall(errors.new, 'Nonsense', 'x'))", Value::Bool(false)),
        ("return (pcall(errors.wrap, nil, 'x'))", Value::Bool(false)),
    ]);
}

#[test]
fn uncaught() {
    for (source, kind, message) in [
        ("error('text')", Kind::Internal, "script.lua:1: text"),
        ("error('text', 0)", Kind::Internal, "text"),
        ("error()", Kind::Internal, "the script raised nil"),
        ("error(5)", Kind::Internal, "5"),
        (
            "error(print)",
            Kind::Internal,
            "the script raised a function; raise a text, a table or an error of errors.new",
        ),
        ("error({ a = 1 })", Kind::Internal, "{\"a\":1}"),
        ("error({ kind = 'Invalid', message = 'm', retryable = false })", Kind::Invalid, "m"),
        ("error(errors.new('Timeout', 'late'))", Kind::Timeout, "late"),
        (
            "local x = nil; x.y = 1",
            Kind::Internal,
            "script.lua:1: attempt to index a nil value (local 'x')",
        ),
        (
            "error(setmetatable({ 1 }, { __tostring = error, __index = error, __pairs = error }))",
            Kind::Internal,
            "[1]",
        ),
        ("local t = {} t.t = t error(t)", Kind::Internal, "the script raised a table"),
        (
            "coroutine.wrap(function() error('inner') end)()",
            Kind::Internal,
            "script.lua:1: script.lua:1: inner",
        ),
        (
            "coroutine.spawn(function() error('beside', 0) end) channel.new():receive()",
            Kind::Internal,
            "beside",
        ),
    ] {
        let error = failure(source);
        assert_eq!((error.kind(), error.message()), (kind, message), "{source}");
        assert!(error.stack().is_some(), "{source}");
    }
    let error =
        failure("error(errors.new({ message = 'm', details = { code = 3 }, retryable = false }))");
    assert_eq!(error.details(), &Value::map([("code", Value::Int(3))]));
    assert_eq!(error.retryable(), Some(false));
    assert!(!Exit::Failed(error).restarts());
    assert!(exit("error('x')").restarts());
}
