//! `json`: `encode(value)` and `decode(text)`, each with `nil, error` on failure.

use wippy_model::{Error, Kind, Value};

use crate::convert;
use crate::host_fn::{Answer, failed, host_fn};
use crate::state::State;

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 2);
    state.set_functions(&[
        (
            "encode",
            host_fn(|s, _| match convert::to_value(s, 1, "value") {
                Ok(value) => {
                    s.push_str(&value.to_json().to_string());
                    Ok(Answer::Values(1))
                }
                Err(error) => failed(s, &error),
            }),
        ),
        (
            "decode",
            host_fn(|s, _| {
                let bytes_max = s.core().program.limits.host_buffer_bytes;
                let parsed = match s.to_str(1) {
                    Some(text) if text.len() as u64 > bytes_max => Err(Error::new(
                        Kind::ResourceExhausted,
                        format!(
                            "json.decode: the text is larger than {bytes_max} bytes \
                             (limits.host_buffer_bytes)"
                        ),
                    )),
                    Some(text) => Value::parse_json(text),
                    None => Err(Error::invalid(format!(
                        "json.decode takes a text in UTF-8, got a {}",
                        s.type_name(1)
                    ))),
                };
                match parsed {
                    Ok(value) => {
                        convert::push(s, &value);
                        Ok(Answer::Values(1))
                    }
                    Err(error) => failed(s, &error),
                }
            }),
        ),
    ]);
}
