//! The `env.*` entries of a project, as the variables of a node.

use std::collections::HashMap;

use wippy_host::{CreateModes, EnvFile, Storage, Variable, Variables};
use wippy_registry::{Data, Registry};

/// The variables of these entries. Nothing is read: a file is when it is first needed, so
/// that a command does not fail for one that it never uses.
pub(crate) fn variables(registry: &Registry) -> Variables {
    let mut variables = Variables::default();
    for entry in registry.entries() {
        let storage = match &entry.data {
            Data::EnvStorageMemory(memory) => {
                let values = memory.values.iter();
                let values = values.map(|(name, value)| (name.clone(), value.clone()));
                Storage::Memory(HashMap::from_iter(values))
            }
            Data::EnvStorageOs(os) => Storage::Os(os.prefix.clone()),
            Data::EnvStorageRouter(router) => Storage::Router(router.storages.clone()),
            Data::EnvStorageFile(file) => Storage::File(EnvFile {
                path: entry.resolve(&file.file_path),
                name: file.file_path.clone(),
                create: file
                    .auto_create
                    .then_some(CreateModes { file: file.file_mode, folder: file.dir_mode }),
            }),
            Data::EnvVariable(variable) => {
                let variable = Variable {
                    name: variable.variable.clone(),
                    storage: variable.storage.clone(),
                    default: variable.default.as_deref().map(Into::into),
                    readonly: variable.readonly,
                };
                variables.add(entry.id.clone(), variable);
                continue;
            }
            _ => continue,
        };
        variables.add_storage(entry.id.clone(), storage);
    }
    variables
}
