;; Recursion without end: it must exhaust the wasm stack of this guest and nothing else.
(component
  (core module $m
    (func (export "run")
      (drop (call $deeper (i32.const 0))))
    ;; The addition comes after the call, so that this is no tail call.
    (func $deeper (param $depth i32) (result i32)
      (i32.add
        (call $deeper (i32.add (local.get $depth) (i32.const 1)))
        (i32.const 1))))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
