;; The smallest useful component: numbers in, a number out, no memory and no import.
(component
  (core module $m
    (func (export "compute") (param i32 i32) (result i32)
      (i32.mul (local.get 0) (local.get 1))))
  (core instance $i (instantiate $m))
  (func (export "compute") (param "a" s32) (param "b" s32) (result s32)
    (canon lift (core func $i "compute"))))
