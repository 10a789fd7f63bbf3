//! From the types that a text uses as values to the code that makes them.
//!
//! A name that means a declared type, where a variable may stand, becomes `__types__[n]`.
//! `__types__` is a local variable of the whole text, made by its head of a description of
//! these types and of those that they refer to; so the number of local variables does not
//! grow with the number of types, and the order of declarations does not matter. A type
//! nobody uses as a value leaves nothing behind.
//!
//! The description is one string, which `typed.lua` reads when a value is first checked:
//!
//! ```text
//! count of values, their names                 the values are the first definitions
//! count of definitions, each: name, node, count of parameters, their default nodes or 0
//! count of nodes, each: a letter and what belongs to it
//! ```
//!
//! Numbers have four bytes, the lowest first; a text has its length before it.

use std::collections::HashMap;

use super::parser::{Declaration, Stop};
use super::scope::Names;
use super::types::{Id, Type};

/// The variable that holds the types. Scripts that use types as values cannot have it.
pub(super) const VARIABLE: &str = "__types__";

/// Bytes of the description of one text.
pub(super) const DESCRIPTION_BYTES_MAX: usize = 1 << 20;

/// Steps between two questions whether to go on.
const TICK_STEPS: u32 = 1024;

/// Types that need no declaration, and their letters in a description.
const BUILT_IN: [(&[u8], u8); 12] = [
    (b"any", b'a'),
    (b"unknown", b'a'),
    (b"never", b'z'),
    (b"boolean", b'b'),
    (b"number", b'f'),
    (b"integer", b'i'),
    (b"string", b's'),
    (b"table", b't'),
    (b"function", b'u'),
    (b"thread", b'h'),
    (b"userdata", b'd'),
    (b"error", b'e'),
];

/// Text in place of other text.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) start: usize,
    pub(super) bytes: usize,
    pub(super) with: String,
}

/// What a text with types as values needs.
#[derive(Debug)]
pub(super) struct Description {
    /// A literal of Lua.
    pub(super) literal: String,
    /// In the order of their places.
    pub(super) replacements: Vec<Replacement>,
}

/// Asks now and then whether to go on.
struct Ticker<'t> {
    left: u32,
    go_on: &'t mut dyn FnMut() -> bool,
}

impl Ticker<'_> {
    fn tick(&mut self) -> Result<(), Stop> {
        self.left -= 1;
        if self.left == 0 {
            self.left = TICK_STEPS;
            if !(self.go_on)() {
                return Err(Stop::Abandoned);
            }
        }
        Ok(())
    }
}

/// Describes the types that the text uses as values; none where it uses none. `go_on` is asked
/// now and then.
///
/// # Errors
///
/// The description is too large, or nobody waits for it any longer.
pub(super) fn describe(
    names: &Names<'_>,
    declarations: &[Declaration<'_>],
    types: &[Type<'_>],
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<Description>, Stop> {
    let mut ticker = Ticker { left: TICK_STEPS, go_on };
    let mut variables = vec![false; declarations.len()];
    let mut uses = Vec::new();
    for noted in &names.uses {
        ticker.tick()?;
        uses.extend(names.declaration_of(noted).map(|declaration| (noted, declaration)));
    }
    for (noted, declaration) in &uses {
        // What is assigned to is a variable after all, with the name of a type.
        if let Some(variable) = variables.get_mut(*declaration) {
            *variable |= noted.assigned;
        }
    }
    let mut writer = Writer::new(names, declarations, types);
    let mut replacements = Vec::new();
    for (noted, declaration) in uses {
        ticker.tick()?;
        if variables.get(declaration) == Some(&false) {
            let number = writer.definition(declaration);
            let with = format!("{VARIABLE}[{number}]");
            replacements.push(Replacement { start: noted.start, bytes: noted.name.len(), with });
        }
    }
    if replacements.is_empty() {
        return Ok(None);
    }
    let values = writer.definitions.len();
    let description = writer.write(values, &mut ticker)?;
    replacements.extend(writer.bindings(&mut ticker)?);
    replacements.sort_by_key(|replacement| replacement.start);
    Ok(Some(Description { literal: literal(&description, &mut ticker)?, replacements }))
}

/// A local variable that a declaration refers to, whose field is a type.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Slot<'s> {
    declaration: usize,
    name: &'s [u8],
}

struct Writer<'a, 's> {
    names: &'a Names<'s>,
    declarations: &'a [Declaration<'s>],
    types: &'a [Type<'s>],
    /// The declarations that are described, and the number of each.
    definitions: Vec<usize>,
    definition_numbers: HashMap<usize, usize>,
    /// The types that are described, with their declarations, and the number of each.
    nodes: Vec<(Id, usize)>,
    node_numbers: HashMap<Id, usize>,
    slots: Vec<Slot<'s>>,
    slot_numbers: HashMap<Slot<'s>, usize>,
}

impl<'a, 's> Writer<'a, 's> {
    fn new(
        names: &'a Names<'s>,
        declarations: &'a [Declaration<'s>],
        types: &'a [Type<'s>],
    ) -> Self {
        Self {
            names,
            declarations,
            types,
            definitions: Vec::new(),
            definition_numbers: HashMap::new(),
            nodes: Vec::new(),
            node_numbers: HashMap::new(),
            slots: Vec::new(),
            slot_numbers: HashMap::new(),
        }
    }

    /// The number of a definition, from 1.
    fn definition(&mut self, declaration: usize) -> usize {
        *self.definition_numbers.entry(declaration).or_insert_with(|| {
            self.definitions.push(declaration);
            self.definitions.len()
        })
    }

    /// The number of a node, from 1.
    fn node(&mut self, id: Id, declaration: usize) -> usize {
        *self.node_numbers.entry(id).or_insert_with(|| {
            self.nodes.push((id, declaration));
            self.nodes.len()
        })
    }

    /// The number of a slot, from 1.
    fn slot(&mut self, declaration: usize, name: &'s [u8]) -> usize {
        let slot = Slot { declaration, name };
        *self.slot_numbers.entry(slot).or_insert_with(|| {
            self.slots.push(slot);
            self.slots.len()
        })
    }

    fn write(&mut self, values: usize, ticker: &mut Ticker<'_>) -> Result<Vec<u8>, Stop> {
        let (mut definitions, mut nodes) = (Vec::new(), Vec::new());
        let (mut described, mut written) = (0, 0);
        // Each may add to the other.
        loop {
            ticker.tick()?;
            let last = if let Some(&declaration) = self.definitions.get(described) {
                described += 1;
                self.write_definition(&mut definitions, declaration);
                declaration
            } else if let Some(&(id, declaration)) = self.nodes.get(written) {
                written += 1;
                self.write_node(&mut nodes, id, declaration);
                declaration
            } else {
                break;
            };
            self.check_size(definitions.len() + nodes.len(), last)?;
        }
        let mut description = Vec::new();
        number(&mut description, values);
        for declaration in self.definitions.iter().take(values) {
            ticker.tick()?;
            text(&mut description, self.name_of(*declaration));
            let bytes = description.len() + definitions.len() + nodes.len();
            self.check_size(bytes, *declaration)?;
        }
        number(&mut description, self.definitions.len());
        description.extend(definitions);
        number(&mut description, self.nodes.len());
        description.extend(nodes);
        Ok(description)
    }

    /// The declaration at which there is too much is the one to name.
    fn check_size(&self, bytes: usize, declaration: usize) -> Result<(), Stop> {
        if bytes <= DESCRIPTION_BYTES_MAX {
            return Ok(());
        }
        let at = self.declarations.get(declaration).map_or(0, |found| found.start);
        let message = format!(
            "the types that this text uses as values take more than {DESCRIPTION_BYTES_MAX} bytes \
             from here on; check fewer of them, or put some into another file"
        );
        Err(Stop::Fault { at, message })
    }

    fn name_of(&self, declaration: usize) -> &'s [u8] {
        self.declarations.get(declaration).map_or(b"?", |found| found.name)
    }

    fn write_definition(&mut self, out: &mut Vec<u8>, declaration: usize) {
        let Some(found) = self.declarations.get(declaration) else { return };
        text(out, found.name);
        number(out, self.node(found.body, declaration));
        number(out, found.parameters.len());
        for parameter in &found.parameters {
            let default = parameter.default.map_or(0, |id| self.node(id, declaration));
            number(out, default);
        }
    }

    fn write_all(&mut self, out: &mut Vec<u8>, ids: &[Id], declaration: usize) {
        number(out, ids.len());
        for id in ids {
            number(out, self.node(*id, declaration));
        }
    }

    fn write_node(&mut self, out: &mut Vec<u8>, id: Id, declaration: usize) {
        let types = self.types;
        match types.get(id) {
            None | Some(Type::Pack) => out.push(b'a'),
            Some(Type::Nil) => out.push(b'n'),
            Some(Type::Bool(value)) => out.push(if *value { b'T' } else { b'F' }),
            Some(Type::Function) => out.push(b'u'),
            Some(Type::Number(written)) => {
                out.push(b'#');
                text(out, written.as_bytes());
            }
            Some(Type::Text(written)) => {
                out.push(b'\'');
                text(out, written);
            }
            Some(Type::Array(of)) => {
                out.push(b'[');
                number(out, self.node(*of, declaration));
            }
            Some(Type::Optional(of)) => {
                out.push(b'?');
                number(out, self.node(*of, declaration));
            }
            Some(Type::Table { fields, index }) => {
                out.push(b'{');
                number(out, fields.len());
                for field in fields {
                    text(out, &field.name);
                    out.push(field.optional.into());
                    number(out, self.node(field.of, declaration));
                }
                let (key, of) = match index {
                    Some((key, of)) => (self.node(*key, declaration), self.node(*of, declaration)),
                    None => (0, 0),
                };
                number(out, key);
                number(out, of);
            }
            Some(Type::Union(members)) => {
                out.push(b'|');
                self.write_all(out, members, declaration);
            }
            Some(Type::Intersection(members)) => {
                out.push(b'&');
                self.write_all(out, members, declaration);
            }
            Some(Type::Annotated(of, annotations)) => {
                out.push(b'@');
                number(out, self.node(*of, declaration));
                number(out, annotations.len());
                for annotation in annotations {
                    number(out, annotation.what);
                    text(out, &annotation.argument);
                }
            }
            Some(Type::Parameter(place)) => {
                out.push(b'p');
                number(out, place + 1);
            }
            Some(Type::Named { name, scope, arguments }) => {
                match self.names.declaration(name, *scope) {
                    Some(named) => {
                        out.push(b'r');
                        number(out, self.definition(named));
                        self.write_all(out, arguments, declaration);
                    }
                    None => out.push(built_in(name)),
                }
            }
            Some(Type::Foreign { is_local: false, .. }) => out.push(b'a'),
            Some(Type::Foreign { path, arguments, .. }) => {
                let (base, fields) =
                    path.split_first().map_or((&b""[..], &[][..]), |(b, f)| (*b, f));
                out.push(b'x');
                number(out, self.slot(declaration, base));
                number(out, fields.len());
                for field in fields {
                    text(out, field);
                }
                self.write_all(out, arguments, declaration);
            }
        }
    }

    /// Code at the declarations that hands over the variables they refer to.
    fn bindings(&self, ticker: &mut Ticker<'_>) -> Result<Vec<Replacement>, Stop> {
        let mut bindings: Vec<Replacement> = Vec::new();
        let mut places: HashMap<usize, usize> = HashMap::new();
        for (place, slot) in self.slots.iter().enumerate() {
            ticker.tick()?;
            let Some(declaration) = self.declarations.get(slot.declaration) else { continue };
            let name = String::from_utf8_lossy(slot.name);
            let bind = format!("{VARIABLE}[0]({},{name});", place + 1);
            let at = *places.entry(slot.declaration).or_insert_with(|| {
                // In place of the `;` that the declaration became.
                let with = ";".to_owned();
                bindings.push(Replacement { start: declaration.start, bytes: 1, with });
                bindings.len() - 1
            });
            if let Some(binding) = bindings.get_mut(at) {
                binding.with.push_str(&bind);
            }
        }
        Ok(bindings)
    }
}

fn built_in(name: &[u8]) -> u8 {
    BUILT_IN.iter().find(|(known, _)| *known == name).map_or(b'a', |(_, letter)| *letter)
}

fn number(out: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    out.extend_from_slice(&number.to_le_bytes());
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// A string of Lua with these bytes, on one line.
fn literal(bytes: &[u8], ticker: &mut Ticker<'_>) -> Result<String, Stop> {
    let mut literal = String::with_capacity(bytes.len() * 2 + 2);
    literal.push('"');
    for byte in bytes {
        ticker.tick()?;
        match byte {
            b'"' | b'\\' => literal.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => literal.push(char::from(*byte)),
            _ => {
                let digit = |value: u8| char::from(b'0' + value % 10);
                literal.extend(['\\', digit(byte / 100), digit(byte / 10), digit(*byte)]);
            }
        }
    }
    literal.push('"');
    Ok(literal)
}
