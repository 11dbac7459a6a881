//! `%COALESCE({"operators":[…]}):Z%`: the first of several operators that has a value.

use serde_json::Value;

use super::{Operation, Operator, Row, Wrote, compile as compile_command};
use crate::telemetry::access_log::Record;
use crate::telemetry::access_log::command::Command;
use crate::telemetry::access_log::format::Options;

pub(super) const ROWS: &[Row] = &[Row::required(NAME, compile).with_length()];

const NAME: &str = "COALESCE";

#[derive(Debug)]
struct Coalesce(Box<[Operation]>);

fn compile(args: &str) -> Result<Box<dyn Operator>, String> {
    let json: Value =
        serde_json::from_str(args).map_err(|error| format!("takes JSON, but {error}"))?;
    let operators = json.get("operators").and_then(Value::as_array);
    let operators = operators.ok_or_else(|| "needs a list of 'operators'".to_owned())?;
    if operators.is_empty() {
        return Err("needs at least one operator".to_owned());
    }
    let operations = operators.iter().enumerate().map(|(index, operator)| {
        operation(operator).map_err(|reason| format!("has at [{index}] what {reason}"))
    });
    Ok(Box::new(Coalesce(operations.collect::<Result<_, _>>()?)))
}

fn operation(operator: &Value) -> Result<Operation, String> {
    let text = |key| match operator.get(key) {
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(format!("has a '{key}' that is no text")),
        None => Ok(None),
    };
    let (name, args) = match operator {
        Value::String(name) => (Some(name.as_str()), None),
        _ => (text("command")?, text("param")?),
    };
    let name = name.ok_or_else(|| "names no 'command'".to_owned())?;
    if name == NAME {
        return Err("is another COALESCE, which is not supported".to_owned());
    }
    let max_length = match operator.get("max_length") {
        None => None,
        Some(length) => match length.as_u64().and_then(|length| usize::try_from(length).ok()) {
            Some(length) if length > 0 => Some(length),
            _ => return Err("has a 'max_length' that is no positive number".to_owned()),
        },
    };
    let command = Command { name, args: args.unwrap_or_default(), max_length };
    compile_command(&command, Options::default()).map_err(|reason| format!("{name} {reason}"))
}

impl Operator for Coalesce {
    fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Wrote {
        let start = out.len();
        for operation in &self.0 {
            let wrote = operation.write(record, out);
            if wrote != Wrote::Nothing {
                if matches!(wrote, Wrote::Text | Wrote::Plain) {
                    operation.cut(out, start);
                }
                return wrote;
            }
            out.truncate(start);
        }
        Wrote::Nothing
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::access_log::testing::{compile_error, request, write, write_json};

    #[test]
    fn the_first_value_counts() {
        let stream = request("GET", "/abc", &[("x-empty", ""), ("x-a", "long")]);
        for (operators, text, json) in [
            (r#"[{"command":"REQ","param":"x-none"},"RESPONSE_CODE"]"#, "0", "0"),
            (r#"[{"command":"REQ","param":"x-empty"},"RESPONSE_CODE"]"#, "", r#""""#),
            (r#"[{"command":"REQ","param":"x-a","max_length":2}]"#, "lo", r#""lo""#),
            (r#"[{"command":"REQ","param":"x-none"}]"#, "-", "null"),
        ] {
            let format = format!(r#"%COALESCE({{"operators":{operators}}})%"#);
            assert_eq!(write(&format, &stream), text, "{format}");
            assert_eq!(write_json(&format, &stream), json, "{format}");
        }
        let cut = r#"%COALESCE({"operators":[{"command":"REQ","param":"x-a"}]}):1%"#;
        assert_eq!(write(cut, &stream), "l");
    }

    #[test]
    fn mistakes_are_refused() {
        for (args, expected) in [
            ("x", "takes JSON, but expected value at line 1 column 1"),
            ("{}", "needs a list of 'operators'"),
            (r#"{"operators":[]}"#, "needs at least one operator"),
            (r#"{"operators":["FOO"]}"#, "has at [0] what FOO is no operator"),
            (r#"{"operators":[1]}"#, "has at [0] what names no 'command'"),
            (r#"{"operators":[{"command":"REQ"}]}"#, "has at [0] what REQ needs arguments"),
            (
                r#"{"operators":["DURATION",{"command":"REQ","param":"x","max_length":0}]}"#,
                "has at [1] what has a 'max_length' that is no positive number",
            ),
            (
                r#"{"operators":[{"command":"COALESCE","param":"{}"}]}"#,
                "has at [0] what is another COALESCE, which is not supported",
            ),
        ] {
            assert_eq!(compile_error(&format!("%COALESCE({args})%")), expected);
        }
    }
}
