//! How many stacks a guest of WASI 0.3 can have in use at once.
//!
//! A call that waits keeps its stack. An instance of a component runs one call at a time to
//! where it waits, so a guest has at most one stack for each instance whose functions can be
//! called, and one more for the work that comes next.

use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, Encoding, Parser, Payload,
};

/// How many instances a component counts as that is known only when it is instantiated: one
/// that another component takes as an argument, or has from an instance.
const UNKNOWN: u32 = 256;

/// A component that is being read.
#[derive(Default)]
struct Frame {
    /// It has functions that can be called.
    lifts: bool,
    /// Instances in its instances.
    inner: u32,
    /// Its components by index, each with how many instances one of it comes to.
    components: Vec<u32>,
}

impl Frame {
    fn instances(&self) -> u32 {
        self.inner.saturating_add(self.lifts.into())
    }

    fn component(&self, index: u32) -> u32 {
        let known = usize::try_from(index).ok().and_then(|index| self.components.get(index));
        known.copied().unwrap_or(UNKNOWN)
    }
}

/// The most stacks of a process of this component, which has been validated.
pub(crate) fn stacks(component: &[u8]) -> u32 {
    // What cannot be read does not come here: it does not compile.
    instances(component).unwrap_or(UNKNOWN).max(1).saturating_add(1)
}

fn instances(component: &[u8]) -> wasmparser::Result<u32> {
    // From the outermost to the one that is being read.
    let mut frames: Vec<Frame> = Vec::new();
    let mut in_module = false;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { encoding: Encoding::Component, .. } => frames.push(Frame::default()),
            Payload::Version { encoding: Encoding::Module, .. } => in_module = true,
            Payload::End(_) if in_module => in_module = false,
            Payload::End(_) => {
                let Some(ended) = frames.pop() else { break };
                match frames.last_mut() {
                    Some(outer) => outer.components.push(ended.instances()),
                    None => return Ok(ended.instances()),
                }
            }
            payload => section(&mut frames, payload)?,
        }
    }
    Ok(UNKNOWN)
}

/// Reads what a section adds to the innermost component.
fn section(frames: &mut [Frame], payload: Payload<'_>) -> wasmparser::Result<()> {
    let depth = frames.len();
    let outer_component = |frames: &[Frame], count: u32, index: u32| {
        let at = usize::try_from(count).ok().and_then(|count| depth.checked_sub(count + 1));
        at.and_then(|at| frames.get(at)).map_or(UNKNOWN, |frame| frame.component(index))
    };
    match payload {
        Payload::ComponentAliasSection(aliases) => {
            for alias in aliases {
                let instances = match alias? {
                    ComponentAlias::InstanceExport {
                        kind: ComponentExternalKind::Component,
                        ..
                    } => UNKNOWN,
                    ComponentAlias::Outer {
                        kind: ComponentOuterAliasKind::Component,
                        count,
                        index,
                    } => outer_component(frames, count, index),
                    _ => continue,
                };
                if let Some(own) = frames.last_mut() {
                    own.components.push(instances);
                }
            }
            Ok(())
        }
        payload => frames.last_mut().map_or(Ok(()), |own| read(own, payload)),
    }
}

fn read(own: &mut Frame, payload: Payload<'_>) -> wasmparser::Result<()> {
    match payload {
        Payload::ComponentCanonicalSection(functions) => {
            for function in functions {
                own.lifts |= matches!(function?, CanonicalFunction::Lift { .. });
            }
        }
        Payload::ComponentImportSection(imports) => {
            for import in imports {
                if matches!(import?.ty, ComponentTypeRef::Component(_)) {
                    own.components.push(UNKNOWN);
                }
            }
        }
        Payload::ComponentExportSection(exports) => {
            for export in exports {
                let export = export?;
                if export.kind == ComponentExternalKind::Component {
                    own.components.push(own.component(export.index));
                }
            }
        }
        Payload::ComponentInstanceSection(instances) => {
            for instance in instances {
                if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                    own.inner = own.inner.saturating_add(own.component(component_index));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> u32 {
        stacks(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn instances_are_counted_however_deep() {
        let lifts = r#"(core module $m (func (export "f")))
          (core instance $i (instantiate $m))
          (func (export "f") (canon lift (core func $i "f")))"#;
        assert_eq!(of("(component)"), 2);
        assert_eq!(of(&format!("(component {lifts})")), 2);
        // Two in the pair, three pairs, and one that is of the outer component itself.
        let text = format!(
            "(component $outer
               (component $one {lifts})
               (component $pair
                 (alias outer $outer $one (component $alias))
                 (instance (instantiate $alias))
                 (component $shim)
                 (instance (instantiate $shim))
                 (instance (instantiate $alias)))
               (instance (instantiate $pair))
               (instance (instantiate $pair))
               (instance (instantiate $pair))
               {lifts})"
        );
        assert_eq!(of(&text), 7 + 1);
    }

    #[test]
    fn a_component_that_is_an_argument_counts_as_many() {
        let text = "(component
          (component $takes (import \"c\" (component $c)) (instance (instantiate $c)))
          (component $given)
          (instance (instantiate $takes (with \"c\" (component $given)))))";
        assert_eq!(of(text), UNKNOWN + 1);
    }
}
