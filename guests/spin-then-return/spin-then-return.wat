;; Honest work that takes long: so many rounds of a linear congruential generator from 0,
;; whose last number is the result. It must yield to others, and still give that number.
(component
  (core module $m
    (func $spin (export "spin") (param $iterations i64) (result i64)
      (local $x i64)
      (block $done
        (loop $next
          (br_if $done (i64.eqz (local.get $iterations)))
          (local.set $x
            (i64.add
              (i64.mul (local.get $x) (i64.const 6364136223846793005))
              (i64.const 1442695040888963407)))
          (local.set $iterations (i64.sub (local.get $iterations) (i64.const 1)))
          (br $next)))
      (local.get $x)))
  (core instance $i (instantiate $m))
  (func (export "spin") (param "iterations" u64) (result u64)
    (canon lift (core func $i "spin"))))
