;; Recursion without an end, through two functions and a table, with many live values.
(component
  (core module $m
    (type $f (func (param i64 i64 i64 i64) (result i64)))
    (table 2 funcref)
    (elem (i32.const 0) $even $odd)
    (func $even (type $f)
      (i64.add
        (call_indirect (type $f)
          (local.get 1) (local.get 2) (local.get 3) (local.get 0) (i32.const 1))
        (i64.mul (local.get 0) (i64.mul (local.get 1) (local.get 2)))))
    (func $odd (type $f)
      (i64.sub
        (call_indirect (type $f)
          (local.get 3) (local.get 0) (local.get 1) (local.get 2) (i32.const 0))
        (i64.mul (local.get 3) (local.get 2))))
    (func (export "run")
      (drop (call $even (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)))))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
