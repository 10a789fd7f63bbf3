//! `string.find`, `match`, `gmatch` and `gsub`, over the matcher of `pattern.rs`.
//!
//! They do what Lua's own do, error texts included, and give way at the end of a time slice,
//! in the middle of a search if need be. The callbacks of `gsub` may wait.
//!
//! These functions run as Lua's own do, outside of host mode: they raise, also for want of
//! memory, and hold no Rust value that needs dropping. Texts are borrowed from Lua strings
//! that stand on the stack, or are upvalues, for as long as the function runs.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::{ptr, slice};

use memchr::{memchr, memmem};
use mlua::ffi::{self, lua_State};

use crate::budget::{FUEL, Look, give_way, look};
use crate::pattern::{Capture, Extent, Malformed, PATTERN_BYTES_MAX, Progress, Search};
use crate::single::is_plain;
use crate::state::State;

/// Bytes that a search for plain text looks at between two looks at the clock.
const WINDOW_BYTES: usize = 256 << 10;

/// Bytes of a plain text that are searched for; the rest is compared where they are.
const FRONT_BYTES: usize = 1 << 20;

/// Fuel of a reference in a replacement, and of one that becomes a number's text.
const REFERENCE_FUEL: u32 = 8;
const POSITION_FUEL: u32 = 64;

/// Bytes of a replacement for one unit of fuel.
const REPLACEMENT_BYTES_OF_FUEL: usize = 16;

/// Bytes of output for one unit of fuel.
const OUTPUT_BYTES_OF_FUEL: usize = 64;

thread_local! {
    /// The search under way on this system thread. Nothing of a script runs between its
    /// beginning and the push of its captures, so there is one at a time; one that gives way
    /// is moved to the Lua stack.
    static SEARCH: UnsafeCell<Search> = const { UnsafeCell::new(Search::idle()) };
}

/// Sets the functions in the table on top.
pub(crate) fn open(state: State<'_>) {
    state.set_functions(&[("find", find), ("match", match_), ("gmatch", gmatch), ("gsub", gsub)]);
}

fn search() -> *mut Search {
    SEARCH.with(UnsafeCell::get)
}

/// What a search of the text in slot 1 is for.
const FIND: isize = 0;
const MATCH: isize = 1;

pub(crate) unsafe extern "C-unwind" fn find(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it.
    unsafe { begin(raw, FIND) }
}

unsafe extern "C-unwind" fn match_(raw: *mut lua_State) -> c_int {
    // SAFETY: Lua calls it.
    unsafe { begin(raw, MATCH) }
}

unsafe fn begin(raw: *mut lua_State, what: isize) -> c_int {
    // SAFETY: the arguments are checked first; the stack has room for what is pushed.
    unsafe {
        let (text, pattern) = (check_text(raw, 1), check_text(raw, 2));
        let start = start_position(ffi::luaL_optinteger(raw, 3, 1), text.len());
        if start > text.len() {
            ffi::lua_pushnil(raw);
            return 1;
        }
        if what == FIND && ffi::lua_toboolean(raw, 4) != 0 {
            return find_plain(raw, start);
        }
        check_pattern(raw, pattern);
        if what == FIND && is_plain(pattern) {
            return find_plain(raw, start);
        }
        (*search()).begin(start, None, is_anchored(pattern));
        go_on(raw, what)
    }
}

unsafe fn go_on(raw: *mut lua_State, what: isize) -> c_int {
    // SAFETY: the first two slots are strings.
    unsafe {
        let (text, pattern) = (text_at(raw, 1), text_at(raw, 2));
        let mut fuel = FUEL;
        match run(raw, text, unanchored(pattern), &mut fuel) {
            Progress::Paused => {
                keep(raw);
                give_way(raw, what, again)
            }
            Progress::None => {
                ffi::lua_pushnil(raw);
                1
            }
            Progress::Found { start, end } if what == FIND => {
                ffi::lua_pushinteger(raw, integer(start + 1));
                ffi::lua_pushinteger(raw, integer(end));
                push_captures(raw, text, None) + 2
            }
            Progress::Found { start, end } => push_captures(raw, text, Some((start, end))),
        }
    }
}

unsafe extern "C-unwind" fn again(raw: *mut lua_State, _: c_int, what: isize) -> c_int {
    // SAFETY: the stack is as `go_on` left it.
    unsafe {
        restore(raw);
        go_on(raw, what)
    }
}

/// Runs the search until something is found or nothing is; `Paused` when it must give way.
unsafe fn run(raw: *mut lua_State, text: &[u8], pattern: &[u8], fuel: &mut u32) -> Progress {
    loop {
        // SAFETY: the search is this thread's, and nobody else uses it meanwhile.
        match unsafe { (*search()).run(text, pattern, fuel) } {
            Ok(Progress::Paused) => {
                *fuel = FUEL;
                // SAFETY: no value here needs dropping.
                if matches!(unsafe { look(raw) }, Look::GiveWay) {
                    return Progress::Paused;
                }
            }
            Ok(progress) => return progress,
            // SAFETY: as above.
            Err(malformed) => unsafe { raise(raw, malformed) },
        }
    }
}

/// Pushes a copy of the search, which another script may need meanwhile.
unsafe fn keep(raw: *mut lua_State) {
    // SAFETY: the block is as large as a search and aligned for one.
    unsafe {
        let block = ffi::lua_newuserdatauv(raw, size_of::<Search>(), 0);
        block.cast::<Search>().copy_from_nonoverlapping(search(), 1);
    }
}

/// Pops what [`keep`] pushed.
unsafe fn restore(raw: *mut lua_State) {
    // SAFETY: it is on top.
    unsafe {
        search().copy_from_nonoverlapping(ffi::lua_touserdata(raw, -1).cast::<Search>(), 1);
        ffi::lua_settop(raw, -2);
    }
}

/// Goes from one place to the next where the front of the plain text is, and compares the
/// whole there.
unsafe fn find_plain(raw: *mut lua_State, start: usize) -> c_int {
    // SAFETY: the first two slots are strings.
    unsafe {
        let (text, plain) = (text_at(raw, 1), text_at(raw, 2));
        let front = plain.get(..plain.len().min(FRONT_BYTES)).unwrap_or_default();
        let step = WINDOW_BYTES.max(front.len());
        let mut start = start;
        let mut seen = 0;
        while text.len() - start >= plain.len() {
            // A match may lie across the end of the window.
            let end = text.len().min(start + step + front.len());
            let window = text.get(start..end).unwrap_or_default();
            let found = memmem::find(window, front);
            if let Some(at) = found
                && text.get(start + at..start + at + plain.len()) == Some(plain)
            {
                ffi::lua_pushinteger(raw, integer(start + at + 1));
                ffi::lua_pushinteger(raw, integer(start + at + plain.len()));
                return 2;
            }
            if found.is_none() && end == text.len() {
                break;
            }
            start += found.map_or(step, |at| at + 1);
            seen += found.map_or(step, |at| at + front.len() + plain.len());
            if start > text.len() {
                break;
            }
            if seen >= WINDOW_BYTES {
                seen = 0;
                if matches!(look(raw), Look::GiveWay) {
                    ffi::lua_pushinteger(raw, integer(start));
                    return give_way(raw, 0, find_plain_again);
                }
            }
        }
        ffi::lua_pushnil(raw);
        1
    }
}

unsafe extern "C-unwind" fn find_plain_again(raw: *mut lua_State, _: c_int, _: isize) -> c_int {
    // SAFETY: `find_plain` pushed where it was.
    unsafe {
        let start = to_position(raw, -1);
        ffi::lua_settop(raw, -2);
        find_plain(raw, start)
    }
}

/// What an iterator of `gmatch` keeps in its first upvalue. The others are the text and the
/// pattern, which stay where they are for as long.
#[derive(Clone, Copy)]
struct Gmatch {
    text: *const [u8],
    pattern: *const [u8],
    from: usize,
    not_end: Option<usize>,
}

unsafe extern "C-unwind" fn gmatch(raw: *mut lua_State) -> c_int {
    // SAFETY: the arguments are checked first; the block is as large as its content.
    unsafe {
        let (text, pattern) = (check_text(raw, 1), check_text(raw, 2));
        let from = start_position(ffi::luaL_optinteger(raw, 3, 1), text.len());
        check_pattern(raw, pattern);
        ffi::lua_settop(raw, 2);
        let block = ffi::lua_newuserdatauv(raw, size_of::<Gmatch>(), 0).cast::<Gmatch>();
        block.write(Gmatch { text, pattern, from, not_end: None });
        ffi::lua_insert(raw, 1);
        ffi::lua_pushcclosure(raw, next_match, 3);
    }
    1
}

unsafe fn iterator<'a>(raw: *mut lua_State) -> &'a mut Gmatch {
    // SAFETY: `gmatch` set the upvalue, and no reference to it outlives a call.
    unsafe { &mut *ffi::lua_touserdata(raw, ffi::lua_upvalueindex(1)).cast::<Gmatch>() }
}

unsafe extern "C-unwind" fn next_match(raw: *mut lua_State) -> c_int {
    // SAFETY: as `iterator`; upvalues keep the texts.
    unsafe {
        let gmatch = iterator(raw);
        if gmatch.from > (&*gmatch.text).len() {
            return 0;
        }
        (*search()).begin(gmatch.from, gmatch.not_end, false);
        go_to_next_match(raw)
    }
}

unsafe fn go_to_next_match(raw: *mut lua_State) -> c_int {
    // SAFETY: as `next_match`.
    unsafe {
        let gmatch = iterator(raw);
        let text = &*gmatch.text;
        let mut fuel = FUEL;
        match run(raw, text, &*gmatch.pattern, &mut fuel) {
            Progress::Paused => {
                keep(raw);
                give_way(raw, 0, next_match_again)
            }
            Progress::None => {
                gmatch.from = text.len() + 1;
                0
            }
            Progress::Found { start, end } => {
                gmatch.from = end;
                gmatch.not_end = Some(end);
                push_captures(raw, text, Some((start, end)))
            }
        }
    }
}

unsafe extern "C-unwind" fn next_match_again(raw: *mut lua_State, _: c_int, _: isize) -> c_int {
    // SAFETY: the stack is as `go_to_next_match` left it.
    unsafe {
        restore(raw);
        go_to_next_match(raw)
    }
}

/// Bytes of a result that needs no block.
const SMALL_BYTES: usize = 512;

/// Slots of `gsub`: text, pattern, replacement, the most replacements, the output.
const REPLACEMENT: c_int = 3;
const OUTPUT: c_int = 5;

/// How far a substitution has got. While a callback runs or it gives way, this stands at the
/// front of the block in slot [`OUTPUT`]; the text made so far follows.
#[derive(Clone, Copy)]
struct Gsub {
    /// Where the rest of the text begins.
    from: usize,
    not_end: Option<usize>,
    count: i64,
    count_max: i64,
    /// Whether anything was replaced.
    changed: bool,
    /// The match that is being replaced.
    start: usize,
    end: usize,
    /// How far the replacement text of this match has been expanded, while it is.
    expanded: Option<usize>,
    /// The text made so far: in the block, or at first on the stack of this function.
    output: *mut u8,
    used: usize,
    capacity: usize,
    in_block: bool,
}

unsafe extern "C-unwind" fn gsub(raw: *mut lua_State) -> c_int {
    // SAFETY: the arguments are checked first.
    unsafe {
        let (text, pattern) = (check_text(raw, 1), check_text(raw, 2));
        let kind = ffi::lua_type(raw, REPLACEMENT);
        let count_max = ffi::luaL_optinteger(raw, 4, integer(text.len() + 1));
        match kind {
            ffi::LUA_TTABLE | ffi::LUA_TFUNCTION => {}
            ffi::LUA_TNUMBER | ffi::LUA_TSTRING => {
                ffi::lua_tolstring(raw, REPLACEMENT, ptr::null_mut());
            }
            _ => return not_a(raw, REPLACEMENT, c"string/function/table"),
        }
        check_pattern(raw, pattern);
        ffi::lua_settop(raw, 4);
        ffi::lua_pushnil(raw);
        let gsub = Gsub {
            from: 0,
            not_end: None,
            count: 0,
            count_max,
            changed: false,
            start: 0,
            end: 0,
            expanded: None,
            output: ptr::null_mut(),
            used: 0,
            capacity: 0,
            in_block: false,
        };
        substitute(raw, gsub, false)
    }
}

unsafe fn substitute(raw: *mut lua_State, mut gsub: Gsub, mut under_way: bool) -> c_int {
    // SAFETY: the slots are as `gsub` set them.
    unsafe {
        let (text, pattern) = (text_at(raw, 1), text_at(raw, 2));
        let anchored = is_anchored(pattern);
        let pattern = unanchored(pattern);
        let kind = ffi::lua_type(raw, REPLACEMENT);
        let mut small = [MaybeUninit::<u8>::uninit(); SMALL_BYTES];
        if !gsub.in_block {
            (gsub.output, gsub.capacity) = (small.as_mut_ptr().cast(), SMALL_BYTES);
        }
        let mut fuel = FUEL;
        while under_way || gsub.count < gsub.count_max {
            let before = gsub.used;
            if gsub.expanded.is_none() {
                if !under_way {
                    (*search()).begin(gsub.from, gsub.not_end, anchored);
                }
                match run(raw, text, pattern, &mut fuel) {
                    Progress::Paused => return gsub.give_way(raw),
                    Progress::None => break,
                    Progress::Found { start, end } => {
                        gsub.count += 1;
                        (gsub.start, gsub.end) = (start, end);
                        gsub.append(raw, text.get(gsub.from..start).unwrap_or_default());
                        gsub.expanded = (kind == ffi::LUA_TSTRING).then_some(0);
                    }
                }
            }
            under_way = false;
            if gsub.expanded.is_some() {
                if !gsub.expand(raw, text, text_at(raw, REPLACEMENT), &mut fuel) {
                    return gsub.give_way(raw);
                }
                gsub.go_past();
            } else {
                gsub.store(raw);
                push_replacement(raw, kind, text, gsub.start, gsub.end);
                gsub = Gsub::load(raw);
                gsub.replace(raw, text);
            }
            burn(&mut fuel, gsub.used - before, OUTPUT_BYTES_OF_FUEL);
            if anchored {
                break;
            }
        }
        if gsub.changed {
            gsub.append(raw, text.get(gsub.from..).unwrap_or_default());
            ffi::lua_pushlstring(raw, gsub.output.cast::<c_char>(), gsub.used);
        } else {
            ffi::lua_pushvalue(raw, 1);
        }
        ffi::lua_pushinteger(raw, gsub.count);
    }
    2
}

unsafe extern "C-unwind" fn substitute_again(raw: *mut lua_State, _: c_int, _: isize) -> c_int {
    // SAFETY: the stack is as `substitute` left it.
    unsafe {
        restore(raw);
        substitute(raw, Gsub::load(raw), true)
    }
}

/// Pushes what the function or table in slot [`REPLACEMENT`] gives for a match.
unsafe fn push_replacement(
    raw: *mut lua_State,
    kind: c_int,
    text: &[u8],
    start: usize,
    end: usize,
) {
    // SAFETY: the stack has room for a few values, and captures ask for theirs. A call that
    // waits goes on in `replaced`.
    unsafe {
        if kind == ffi::LUA_TFUNCTION {
            ffi::lua_pushvalue(raw, REPLACEMENT);
            let captures = push_captures(raw, text, Some((start, end)));
            return ffi::lua_callk(raw, captures, 1, 0, Some(replaced));
        }
        push_capture(raw, text, 0, start, end);
        ffi::lua_pushvalue(raw, -1);
        if ffi::lua_rawget(raw, REPLACEMENT) != ffi::LUA_TNIL {
            return;
        }
        if ffi::luaL_getmetafield(raw, REPLACEMENT, c"__index".as_ptr()) == ffi::LUA_TFUNCTION {
            // Called from here it may wait; `lua_gettable` would not let it.
            ffi::lua_replace(raw, -2);
            ffi::lua_insert(raw, -2);
            ffi::lua_pushvalue(raw, REPLACEMENT);
            ffi::lua_insert(raw, -2);
            ffi::lua_callk(raw, 2, 1, 0, Some(replaced));
        } else {
            ffi::lua_settop(raw, OUTPUT + 1);
            ffi::lua_gettable(raw, REPLACEMENT);
        }
    }
}

/// The replacement of a match is on top.
unsafe extern "C-unwind" fn replaced(raw: *mut lua_State, _: c_int, _: isize) -> c_int {
    // SAFETY: the stack is as `push_replacement` left it.
    unsafe {
        let mut gsub = Gsub::load(raw);
        gsub.replace(raw, text_at(raw, 1));
        if is_anchored(text_at(raw, 2)) {
            gsub.count_max = 0;
        }
        substitute(raw, gsub, false)
    }
}

impl Gsub {
    /// Puts this at the front of the output's block.
    unsafe fn store(&mut self, raw: *mut lua_State) {
        // SAFETY: the block begins with room for this.
        unsafe {
            if !self.in_block {
                self.grow(raw, 0);
            }
            ffi::lua_touserdata(raw, OUTPUT).cast::<Self>().write(*self);
        }
    }

    unsafe fn load(raw: *mut lua_State) -> Self {
        // SAFETY: `store` wrote it.
        unsafe { ffi::lua_touserdata(raw, OUTPUT).cast::<Self>().read() }
    }

    /// Moves the output to a block with room for so many more bytes.
    unsafe fn grow(&mut self, raw: *mut lua_State, more: usize) {
        // SAFETY: the old block stands in its slot until the new one replaces it.
        unsafe {
            let mut text_len = 0;
            ffi::lua_tolstring(raw, 1, &raw mut text_len);
            let least = if self.in_block { self.capacity * 2 } else { text_len + 64 };
            let capacity = least.max(self.used + more);
            let block = ffi::lua_newuserdatauv(raw, size_of::<Self>() + capacity, 0);
            let output = block.cast::<u8>().add(size_of::<Self>());
            if self.used > 0 {
                output.copy_from_nonoverlapping(self.output, self.used);
            }
            ffi::lua_replace(raw, OUTPUT);
            (self.output, self.capacity, self.in_block) = (output, capacity, true);
        }
    }

    unsafe fn append(&mut self, raw: *mut lua_State, bytes: &[u8]) {
        // SAFETY: there is room after `grow`, which leaves the bytes where they are.
        unsafe {
            if self.capacity - self.used < bytes.len() {
                self.grow(raw, bytes.len());
            }
            self.output.add(self.used).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        self.used += bytes.len();
    }

    fn go_past(&mut self) {
        self.from = self.end;
        self.not_end = Some(self.end);
    }

    /// Appends the value on top, or what was matched where it is false.
    unsafe fn replace(&mut self, raw: *mut lua_State, text: &[u8]) {
        // SAFETY: it stands above the output.
        unsafe {
            if ffi::lua_toboolean(raw, -1) == 0 {
                self.append(raw, text.get(self.start..self.end).unwrap_or_default());
            } else if ffi::lua_isstring(raw, -1) == 0 {
                let kind = ffi::luaL_typename(raw, -1);
                ffi::luaL_error(raw, c"invalid replacement value (a %s)".as_ptr(), kind);
            } else {
                self.append(raw, text_at(raw, -1));
                self.changed = true;
            }
            ffi::lua_settop(raw, OUTPUT);
        }
        self.go_past();
    }

    /// Keeps everything and suspends the running thread.
    unsafe fn give_way(&mut self, raw: *mut lua_State) -> c_int {
        // SAFETY: the output's slot is on top.
        unsafe {
            self.store(raw);
            keep(raw);
            give_way(raw, 0, substitute_again)
        }
    }

    /// Appends the replacement, with captures for `%0` to `%9`; false where it must give way.
    unsafe fn expand(
        &mut self,
        raw: *mut lua_State,
        text: &[u8],
        replacement: &[u8],
        fuel: &mut u32,
    ) -> bool {
        self.changed = true;
        let mut at = self.expanded.unwrap_or(0);
        // SAFETY: a position that becomes a text stands on the stack while it is copied.
        unsafe {
            loop {
                if *fuel == 0 {
                    *fuel = FUEL;
                    if matches!(look(raw), Look::GiveWay) {
                        self.expanded = Some(at);
                        return false;
                    }
                }
                let end = replacement.len().min(at + PATTERN_BYTES_MAX);
                let window = replacement.get(at..end).unwrap_or_default();
                let percent = memchr(b'%', window);
                let plain = percent.unwrap_or(window.len());
                self.append(raw, window.get(..plain).unwrap_or_default());
                burn(fuel, plain, REPLACEMENT_BYTES_OF_FUEL);
                at += plain;
                if percent.is_some() {
                    self.refer(raw, text, replacement.get(at + 1).copied(), fuel);
                    at += 2;
                }
                if at >= replacement.len() {
                    self.expanded = None;
                    return true;
                }
            }
        }
    }

    /// Appends what stands for a percent sign and the character behind it.
    unsafe fn refer(
        &mut self,
        raw: *mut lua_State,
        text: &[u8],
        letter: Option<u8>,
        fuel: &mut u32,
    ) {
        let before = self.used;
        *fuel = fuel.saturating_sub(REFERENCE_FUEL);
        // SAFETY: as `expand`.
        unsafe {
            match letter {
                Some(b'%') => self.append(raw, b"%"),
                Some(b'0') => {
                    self.append(raw, text.get(self.start..self.end).unwrap_or_default());
                }
                Some(digit @ b'1'..=b'9') => {
                    let index = usize::from(digit - b'1');
                    match (*search()).capture(index, self.start, self.end) {
                        Ok(Capture { start, extent: Extent::Bytes(len) }) => {
                            self.append(raw, text.get(start..start + len).unwrap_or_default());
                        }
                        Ok(Capture { start, .. }) => {
                            *fuel = fuel.saturating_sub(POSITION_FUEL);
                            ffi::lua_pushinteger(raw, integer(start + 1));
                            self.append(raw, text_at(raw, -1));
                            ffi::lua_settop(raw, OUTPUT);
                        }
                        Err(malformed) => raise(raw, malformed),
                    }
                }
                _ => {
                    ffi::luaL_error(
                        raw,
                        c"invalid use of '%c' in replacement string".as_ptr(),
                        c_int::from(b'%'),
                    );
                }
            }
        }
        burn(fuel, self.used - before, OUTPUT_BYTES_OF_FUEL);
    }
}

fn burn(fuel: &mut u32, bytes: usize, bytes_of_fuel: usize) {
    let burnt = u32::try_from(bytes / bytes_of_fuel).unwrap_or(u32::MAX);
    *fuel = fuel.saturating_sub(burnt);
}

/// Pushes the captures of what was found; the whole match where the pattern has none and
/// the match is given.
unsafe fn push_captures(raw: *mut lua_State, text: &[u8], whole: Option<(usize, usize)>) -> c_int {
    // SAFETY: room is asked for.
    unsafe {
        let level = (*search()).level();
        let count = if level == 0 && whole.is_some() { 1 } else { level };
        let count_int = c_int::try_from(count).unwrap_or(0);
        if count > 8 {
            // Fewer find room in what every function has.
            ffi::luaL_checkstack(raw, count_int, c"too many captures".as_ptr());
        }
        let (start, end) = whole.unwrap_or_default();
        for index in 0..count {
            push_capture(raw, text, index, start, end);
        }
        count_int
    }
}

unsafe fn push_capture(raw: *mut lua_State, text: &[u8], index: usize, start: usize, end: usize) {
    // SAFETY: the callers ask for room.
    unsafe {
        match (*search()).capture(index, start, end) {
            Ok(Capture { start, extent: Extent::Bytes(len) }) => {
                let bytes = text.get(start..start + len).unwrap_or_default();
                ffi::lua_pushlstring(raw, bytes.as_ptr().cast(), bytes.len());
            }
            Ok(Capture { start, .. }) => ffi::lua_pushinteger(raw, integer(start + 1)),
            Err(malformed) => raise(raw, malformed),
        }
    }
}

unsafe fn raise(raw: *mut lua_State, malformed: Malformed) -> ! {
    let text = malformed.words();
    // SAFETY: pushes a text with the position of the caller and raises it.
    unsafe {
        ffi::luaL_where(raw, 1);
        match malformed {
            Malformed::NoCapture(number) => {
                ffi::lua_pushfstring(raw, c"invalid capture index %%%d".as_ptr(), number);
            }
            _ => _ = ffi::lua_pushstring(raw, text.as_ptr()),
        }
        ffi::lua_concat(raw, 2);
        ffi::lua_error(raw)
    }
}

/// Raises that an argument is not of the types it may be of.
unsafe fn not_a(raw: *mut lua_State, arg: c_int, expected: &CStr) -> c_int {
    // SAFETY: as Lua's own.
    unsafe {
        let named = ffi::luaL_getmetafield(raw, arg, c"__name".as_ptr()) == ffi::LUA_TSTRING;
        let kind = match ffi::lua_type(raw, arg) {
            _ if named => ffi::lua_tolstring(raw, -1, ptr::null_mut()),
            ffi::LUA_TLIGHTUSERDATA => c"light userdata".as_ptr(),
            _ => ffi::luaL_typename(raw, arg),
        };
        let text =
            ffi::lua_pushfstring(raw, c"%s expected, got %s".as_ptr(), expected.as_ptr(), kind);
        ffi::luaL_argerror(raw, arg, text)
    }
}

unsafe fn check_text<'a>(raw: *mut lua_State, arg: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: Lua's strings do not move, and this one stands in its slot. A number there
    // becomes a string.
    unsafe {
        let bytes = ffi::luaL_checklstring(raw, arg, &raw mut len);
        slice::from_raw_parts(bytes.cast(), len)
    }
}

/// The bytes of a string that is known to be one.
unsafe fn text_at<'a>(raw: *mut lua_State, index: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: as `check_text`.
    unsafe {
        let bytes = ffi::lua_tolstring(raw, index, &raw mut len);
        if bytes.is_null() { &[] } else { slice::from_raw_parts(bytes.cast(), len) }
    }
}

/// Raises where a pattern is longer than anybody needs.
unsafe fn check_pattern(raw: *mut lua_State, pattern: &[u8]) {
    if pattern.len() > PATTERN_BYTES_MAX {
        // SAFETY: raises; nothing here needs dropping.
        unsafe {
            ffi::luaL_argerror(raw, 2, c"pattern too long; find takes any plain text".as_ptr());
        }
    }
}

unsafe fn to_position(raw: *mut lua_State, index: c_int) -> usize {
    // SAFETY: the callers put an integer there.
    let position = unsafe { ffi::lua_tointegerx(raw, index, ptr::null_mut()) };
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// Where a search begins, from zero, that Lua counts from one or from the end.
fn start_position(position: i64, len: usize) -> usize {
    match usize::try_from(position) {
        Ok(position) => position.saturating_sub(1),
        Err(_) => {
            let back = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
            len.saturating_sub(back)
        }
    }
}

fn is_anchored(pattern: &[u8]) -> bool {
    pattern.first() == Some(&b'^')
}

fn unanchored(pattern: &[u8]) -> &[u8] {
    pattern.strip_prefix(b"^").unwrap_or(pattern)
}

fn integer(position: usize) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
