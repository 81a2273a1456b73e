//! Where a service of AWS is that the broker asks for itself.

use cloakroom_model::{Destination, Scheme};

/// The endpoint of a service in a region, or `https://HOST[:PORT]` instead of it.
///
/// SPEC: AWS General Reference, "AWS service endpoints".
///
/// # Errors
/// One sentence.
pub(crate) fn endpoint(
    service: &str,
    region: &str,
    instead: Option<&str>,
) -> Result<Destination, &'static str> {
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=32).contains(&region.len()) || !region.bytes().all(named) {
        return Err("a region of AWS is named like eu-west-1");
    }
    // The regions of China have a domain of their own.
    let end = if region.starts_with("cn-") { ".cn" } else { "" };
    let own = format!("https://{service}.{region}.amazonaws.com{end}");
    let to = instead.unwrap_or(&own).parse::<Destination>().ok();
    to.filter(|to| to.scheme() == Scheme::Https)
        .ok_or("the server is no https:// URL of a host, and perhaps a port, alone")
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn a_service_is_in_its_region_or_where_the_settings_say() {
        let of = |region, instead| endpoint("kms", region, instead).map(|to| to.to_string());
        assert_eq!(of("eu-west-1", None).unwrap(), "https://kms.eu-west-1.amazonaws.com");
        assert_eq!(of("cn-north-1", None).unwrap(), "https://kms.cn-north-1.amazonaws.com.cn");
        assert_eq!(of("eu-west-1", Some("https://[::1]:4566")).unwrap(), "https://[::1]:4566");
        let long = "e".repeat(33);
        for region in ["", "eu_west", "EU-WEST-1", "eu-west-1.example.com/", &long] {
            assert!(of(region, None).unwrap_err().contains("region"), "{region}");
        }
        for instead in ["http://kms.example.com", "https://kms.example.com/path", "kms.example.com", ""] {
            assert!(of("eu-west-1", Some(instead)).unwrap_err().contains("https"), "{instead}");
        }
    }
}
