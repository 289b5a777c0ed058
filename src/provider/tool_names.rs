//! The names of functions as each server takes them.

use super::IdFormat;
use crate::{Error, ErrorKind, Tool};

/// Refuses a function whose name has another form.
///
/// # Errors
/// `invalid_request` that names the place.
pub(crate) fn check(provider: &str, tools: &[Tool], form: IdFormat) -> Result<(), Error> {
    for (number, tool) in tools.iter().enumerate() {
        if let Tool::Function { name, .. } = tool {
            if !form.fits(name) {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    format!(
                        "`tools[{number}].name` is `{}`: `{provider}` takes {}",
                        name.escape_debug(),
                        form.description()
                    ),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_path_and_expected_form() {
        let tool = |name: &str| Tool::function(name, "", "").unwrap();
        let form = IdFormat::new(1, 64).only("_-");
        let tools = [tool("get_weather-2"), tool("files.read")];
        let error = check("openai", &tools, form).unwrap_err();
        assert_eq!(
            error.message(),
            "`tools[1].name` is `files.read`: `openai` takes 1 to 64 ASCII letters, digits and characters of `_-`"
        );
        assert!(check("openai", &tools[..1], form).is_ok());
        assert!(check("vllm", &tools, IdFormat::ANY).is_ok());
    }
}
