//! Which names of a text are types, where the text declares any.
//!
//! A type is known in the whole of the block that declares it, before its declaration too,
//! as in Luau, and in blocks inside. A variable hides it from its own declaration on. What
//! is needed of variables is only which are visible, so that a text without types keeps
//! nothing here.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// Names in one text that may be types as values.
pub(super) const USES_MAX: usize = 1 << 16;

/// Variables visible at one place. Lua compiles no text with so many: a function has at most
/// 200, and functions nest at most 200 deep.
const VARIABLES_MAX: usize = 1 << 16;

/// A name where a variable may stand, which may be a type's.
#[derive(Debug)]
pub(super) struct Use<'s> {
    pub(super) name: &'s [u8],
    pub(super) start: usize,
    /// The block that it stands in.
    scope: usize,
    /// The block of the variable of that name that is visible there.
    variable: Option<usize>,
    /// Whether something is assigned to it.
    pub(super) assigned: bool,
}

/// The blocks of a text and the names in them.
#[derive(Debug, Default)]
pub(super) struct Names<'s> {
    /// Names of types that the text may declare, found beforehand.
    candidates: HashSet<&'s [u8]>,
    /// The block around each block.
    parents: Vec<usize>,
    current: usize,
    /// The declaration of a type in a block.
    declared: HashMap<(usize, &'s [u8]), usize>,
    /// For each name the blocks of the variables that are visible now.
    visible: HashMap<&'s [u8], Vec<usize>>,
    /// The variables of the open blocks, and how many there were when each began.
    opened: Vec<&'s [u8]>,
    begins: Vec<usize>,
    pub(super) uses: Vec<Use<'s>>,
    /// Where the first one stands for which there is no room.
    pub(super) one_too_many: Option<usize>,
}

/// What is wrong with a text that has too many uses.
pub(super) fn too_many() -> String {
    format!("the types of this text are named more than {USES_MAX} times outside of types")
}

impl<'s> Names<'s> {
    pub(super) fn new(candidates: HashSet<&'s [u8]>) -> Self {
        Self { candidates, parents: vec![0], ..Self::default() }
    }

    fn is_idle(&self) -> bool {
        self.candidates.is_empty()
    }

    /// The block that is open.
    pub(super) fn scope(&self) -> usize {
        self.current
    }

    pub(super) fn open(&mut self) {
        if self.is_idle() {
            return;
        }
        self.parents.push(self.current);
        self.current = self.parents.len() - 1;
        self.begins.push(self.opened.len());
    }

    pub(super) fn close(&mut self) {
        let Some(begin) = self.begins.pop() else { return };
        for name in self.opened.drain(begin.min(self.opened.len())..) {
            if let Entry::Occupied(mut blocks) = self.visible.entry(name) {
                blocks.get_mut().pop();
                if blocks.get().is_empty() {
                    blocks.remove();
                }
            }
        }
        self.current = self.parents.get(self.current).copied().unwrap_or(0);
    }

    /// A variable is visible from here on.
    pub(super) fn variable(&mut self, name: &'s [u8]) {
        if self.is_idle() || self.opened.len() >= VARIABLES_MAX {
            return;
        }
        self.visible.entry(name).or_default().push(self.current);
        self.opened.push(name);
    }

    /// Whether a variable of that name is visible.
    pub(super) fn sees(&self, name: &[u8]) -> bool {
        self.visible.get(name).is_some_and(|blocks| !blocks.is_empty())
    }

    /// Notes a name that stands where a variable may. The place of what was noted.
    pub(super) fn used(&mut self, name: &'s [u8], start: usize) -> Option<usize> {
        if !self.candidates.contains(name) {
            return None;
        }
        if self.uses.len() >= USES_MAX {
            self.one_too_many.get_or_insert(start);
            return None;
        }
        let variable = self.visible.get(name).and_then(|blocks| blocks.last().copied());
        let scope = self.current;
        self.uses.push(Use { name, start, scope, variable, assigned: false });
        Some(self.uses.len() - 1)
    }

    /// Something is assigned to a name that was noted.
    pub(super) fn assigned(&mut self, place: Option<usize>) {
        if let Some(noted) = place.and_then(|place| self.uses.get_mut(place)) {
            noted.assigned = true;
        }
    }

    /// Declares a type in the block that is open; false where it has one of that name.
    pub(super) fn declare(&mut self, name: &'s [u8], declaration: usize) -> bool {
        self.declared.insert((self.current, name), declaration).is_none()
    }

    /// The declaration that a name in a block means.
    pub(super) fn declaration(&self, name: &[u8], scope: usize) -> Option<usize> {
        self.find(name, scope, None)
    }

    /// The declaration that a noted name means, where it is no variable.
    pub(super) fn declaration_of(&self, noted: &Use<'_>) -> Option<usize> {
        self.find(noted.name, noted.scope, noted.variable)
    }

    fn find(&self, name: &[u8], scope: usize, variable: Option<usize>) -> Option<usize> {
        let mut scope = scope;
        loop {
            if variable == Some(scope) {
                return None;
            }
            if let Some(declaration) = self.declared.get(&(scope, name)) {
                return Some(*declaration);
            }
            let parent = *self.parents.get(scope)?;
            if parent == scope {
                return None;
            }
            scope = parent;
        }
    }
}
