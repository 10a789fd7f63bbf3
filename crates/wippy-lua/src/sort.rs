//! Sorting short ranges of numbers at once.
//!
//! `table.sort` is Lua code of ours (`long.lua`), so that it gives way and comparisons may
//! wait. Where a range is short and holds nothing but integers, or nothing but floats, there
//! is nobody to call, and it is sorted here in less time than its comparisons would take.

#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::ffi;

use crate::state::State;

/// Elements of a range that is sorted at once: a fraction of a millisecond.
pub(crate) const RANGE_MAX: i64 = 4096;

/// Sorts the elements from `low` to `high` of a table without a metatable; false, and
/// nothing done, where it is anything else or holds anything else.
pub(crate) fn sort_range(state: State<'_>, table: c_int, low: i64, high: i64) -> bool {
    let count = high.saturating_sub(low).saturating_add(1);
    if !(2..=RANGE_MAX).contains(&count) || state.raw_len(table) == 0 {
        return false;
    }
    if state.get_metatable(table) {
        state.pop(1);
        return false;
    }
    state.get_position(table, low);
    let integers = state.to_exact_integer(-1).is_some();
    state.pop(1);
    if integers {
        sort(state, table, low..=high, State::to_exact_integer, State::push_integer, i64::cmp)
    } else {
        sort(state, table, low..=high, float, State::push_number, f64::total_cmp)
    }
}

/// A float that has a place among others. Zeros are equal to Lua, and not to `total_cmp`;
/// either order of them will do.
fn float(state: State<'_>, index: c_int) -> Option<f64> {
    // SAFETY: any acceptable index may be asked.
    let integer = unsafe { ffi::lua_isinteger(state.raw(), index) != 0 };
    state.to_number(index).filter(|number| !integer && !number.is_nan())
}

fn sort<'s, T: Copy>(
    state: State<'s>,
    table: c_int,
    range: std::ops::RangeInclusive<i64>,
    get: fn(State<'s>, c_int) -> Option<T>,
    push: fn(State<'s>, T),
    order: fn(&T, &T) -> std::cmp::Ordering,
) -> bool {
    let count = range.end() - range.start() + 1;
    let mut items = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for position in range.clone() {
        state.get_position(table, position);
        let item = get(state, -1);
        state.pop(1);
        match item {
            Some(item) => items.push(item),
            None => return false,
        }
    }
    items.sort_unstable_by(order);
    for (position, item) in range.zip(items) {
        push(state, item);
        state.set_position(table, position);
    }
    true
}
