//! JSON in one form only (RFC 8785), so that equal values are equal bytes.

use serde::Serialize;
use serde_json::Value;

/// Whole numbers beyond this are not exact as RFC 8785 has numbers.
const EXACT: u64 = 1 << 53;

/// A number that this form of JSON cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is a number that canonical JSON (RFC 8785) cannot hold exactly")]
pub struct Inexact(String);

/// A value in RFC 8785's form: no white space, keys in the order of their UTF-16
/// units, numbers as ECMAScript writes them.
///
/// # Errors
/// A whole number beyond 2^53.
pub fn canonical(value: &Value) -> Result<String, Inexact> {
    let mut text = String::new();
    write(value, &mut text)?;
    Ok(text)
}

/// What a type says in JSON, as a reader of the JSON has it: an `f32` is the
/// number that its shortest digits say.
///
/// # Errors
/// The type cannot be written as JSON.
pub fn plain(value: &impl Serialize) -> serde_json::Result<Value> {
    serde_json::from_slice(&serde_json::to_vec(value)?)
}

fn write(value: &Value, text: &mut String) -> Result<(), Inexact> {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => {
            let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            if whole.is_some_and(|whole| whole > EXACT) {
                return Err(Inexact(number.to_string()));
            }
            let float = number.as_f64().ok_or_else(|| Inexact(number.to_string()))?;
            text.push_str(&ecmascript(float));
        }
        Value::String(string) => quote(string, text),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(item, text)?;
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            text.push('{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                quote(name, text);
                text.push(':');
                write(value, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

/// Only what has to be escaped is.
fn quote(string: &str, text: &mut String) {
    // serde_json writes strings as RFC 8785 wants them.
    text.push_str(&Value::from(string).to_string());
}

/// `Number::toString` of ECMAScript, section 6.1.6.1.20.
fn ecmascript(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    // The shortest digits that stand for the number, of equally near ones the even:
    // std would take the upper.
    let shortest = Value::from(value.abs()).to_string();
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    // Where the point stands, counted from the first digit that is not 0.
    let point = exponent.parse::<i32>().unwrap_or(0) + whole.len() as i32
        - (all.len() - digits.len()) as i32;
    let digits = digits.trim_end_matches('0');
    let count = digits.len() as i32;
    let zeros = |count: i32| "0".repeat(count.max(0) as usize);
    let (before, after) = digits.split_at(point.clamp(0, count) as usize);
    match point {
        point if count <= point && point <= 21 => format!("{sign}{digits}{}", zeros(point - count)),
        1..=21 => format!("{sign}{before}.{after}"),
        -5..=0 => format!("{sign}0.{}{digits}", zeros(-point)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let rest = if rest.is_empty() { String::new() } else { format!(".{rest}") };
            format!("{sign}{first}{rest}e{:+}", point - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8785, appendix B.
    const NUMBERS: &[(u64, &str)] = &[
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ];

    #[test]
    fn numbers_are_those_of_the_standard() {
        for (bits, expected) in NUMBERS {
            assert_eq!(ecmascript(f64::from_bits(*bits)), *expected, "{bits:x}");
        }
        for (json, expected) in [("1.0", "1"), ("-7", "-7"), ("1e2", "100"), ("0.75", "0.75")] {
            assert_eq!(canonical(&serde_json::from_str(json).unwrap()).unwrap(), expected);
        }
        assert!(
            canonical(&Value::from(EXACT)).is_ok() && canonical(&Value::from(i64::MIN)).is_err()
        );
        assert!(canonical(&Value::from(EXACT + 1)).is_err());
        assert_eq!(plain(&0.1_f32).unwrap().to_string(), "0.1");
    }

    #[test]
    fn texts_and_keys_are_those_of_the_standard() {
        let cases = [
            // Section 3.2.2 and 3.2.4, but for a digit that serde_json reads less
            // exactly than it writes it.
            (
                r#"{"numbers": [333333333.3333333, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
                    "literals": [null, true, false]}"#,
                "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                 \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
            ),
            // Section 3.2.3.
            (
                r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
                    "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
                    "\u00f6": "Latin Small Letter O With Diaeresis"}"#,
                "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
                 \"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\
                 \"\u{1f600}\":\"Emoji: Grinning Face\",\
                 \"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
            ),
            ("{ }", "{}"),
            ("[ [ ], \"\\b\\t\\f\\u007f\" ]", "[[],\"\\b\\t\\f\u{7f}\"]"),
        ];
        for (json, expected) in cases {
            assert_eq!(canonical(&serde_json::from_str(json).unwrap()).unwrap(), expected);
        }
    }
}
