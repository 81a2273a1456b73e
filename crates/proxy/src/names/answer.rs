//! From the bytes of a question to the bytes of its answer (RFC 1035, section 4).

use cloakroom_model::Host;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use std::net::Ipv4Addr;

/// How long an answer may be kept, in seconds: a revoked permit's name is gone soon after.
const KEPT: u32 = 30;
/// The header alone.
const SHORTEST: usize = 12;

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// This address stands for it.
    Address(Ipv4Addr),
    /// There is no such name for whoever asks.
    Nowhere,
    /// Whoever asks gets no answer about names.
    Nobody,
}

/// Answers one question, asking `look_up` about its name. `None`: what came is no question, and is not answered.
pub(super) fn answer(question: &[u8], look_up: impl FnOnce(&Host) -> Known) -> Option<Vec<u8>> {
    let Ok(asked) = Message::from_vec(question) else { return malformed(question) };
    if asked.metadata.message_type != MessageType::Query {
        // SECURITY: two name servers that answer each other's answers never end.
        return None;
    }
    let mut said = Message::response(asked.metadata.id, asked.metadata.op_code);
    said.metadata.recursion_desired = asked.metadata.recursion_desired;
    said.metadata.recursion_available = true;
    said.metadata.response_code = match (&asked.queries[..], asked.metadata.op_code) {
        (_, op) if op != OpCode::Query => ResponseCode::NotImp,
        ([query], _) if query.query_class() == DNSClass::IN => {
            said.add_query(query.clone());
            match look_up_written(&query.name().to_ascii(), look_up) {
                Known::Nobody => ResponseCode::Refused,
                Known::Nowhere => ResponseCode::NXDomain,
                Known::Address(address) => {
                    // Other types are known to have nothing: programs then take the address (RFC 2308, section 2.2).
                    if matches!(query.query_type(), RecordType::A | RecordType::ANY) {
                        let data = RData::A(A(address));
                        said.add_answer(Record::from_rdata(query.name().clone(), KEPT, data));
                    }
                    ResponseCode::NoError
                }
            }
        }
        ([_], _) => ResponseCode::Refused,
        _ => ResponseCode::FormErr,
    };
    said.to_vec().ok()
}

/// A name that is no host has no address: the same as one that nobody named.
fn look_up_written(written: &str, look_up: impl FnOnce(&Host) -> Known) -> Known {
    let name = written.strip_suffix('.').unwrap_or(written);
    match Host::parse(name) {
        Ok(host @ Host::Name(_)) => look_up(&host),
        _ => Known::Nowhere,
    }
}

/// `FORMERR` for what has at least a header.
fn malformed(question: &[u8]) -> Option<Vec<u8>> {
    let header = question.get(..SHORTEST)?;
    let is_answer = header[2] & 0x80 != 0;
    let id = u16::from_be_bytes([header[0], header[1]]);
    let said = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    if is_answer { None } else { said.to_vec().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 7);

    fn question(name: &str, kind: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn asked(bytes: &[u8]) -> Option<Message> {
        let known = |host: &Host| match host {
            Host::Name(name) if &**name == "api.example.com" => Known::Address(ADDRESS),
            Host::Name(name) if &**name == "stranger.example" => Known::Nobody,
            _ => Known::Nowhere,
        };
        answer(bytes, known).map(|bytes| Message::from_vec(&bytes).unwrap())
    }

    fn code(name: &str, kind: RecordType) -> (ResponseCode, usize) {
        let said = asked(&question(name, kind).to_vec().unwrap()).unwrap();
        assert_eq!((said.metadata.id, said.metadata.message_type), (7, MessageType::Response));
        (said.metadata.response_code, said.answers.len())
    }

    #[test]
    fn a_permitted_name_has_its_address_and_nothing_else() {
        let said = asked(&question("API.example.com.", RecordType::A).to_vec().unwrap()).unwrap();
        assert_eq!(said.answers[0].data, RData::A(A(ADDRESS)));
        for kind in [RecordType::AAAA, RecordType::HTTPS, RecordType::MX, RecordType::TXT] {
            assert_eq!(code("api.example.com.", kind), (ResponseCode::NoError, 0), "{kind}");
        }
    }

    #[test]
    fn t52_other_names_do_not_exist_and_strangers_are_refused() {
        for name in [
            "evil.example.",
            "data.api.example.com.",
            "api.example.com.evil.example.",
            "com.",
            "1.0.0.127.in-addr.arpa.",
        ] {
            for kind in [RecordType::A, RecordType::TXT, RecordType::NULL] {
                assert_eq!(code(name, kind), (ResponseCode::NXDomain, 0), "{name}");
            }
        }
        assert_eq!(code("stranger.example.", RecordType::A), (ResponseCode::Refused, 0));
    }

    #[test]
    fn what_is_no_question_is_not_answered_or_answered_as_malformed() {
        let mut answer = question("api.example.com.", RecordType::A);
        answer.metadata.message_type = MessageType::Response;
        assert_eq!(asked(&answer.to_vec().unwrap()), None);
        assert_eq!(asked(b"short"), None);
        let whole = question("api.example.com.", RecordType::A).to_vec().unwrap();
        assert_eq!(asked(&whole[..whole.len() - 3]).unwrap().metadata.response_code, ResponseCode::FormErr);
        let mut two = question("api.example.com.", RecordType::A);
        two.add_query(Query::query(Name::from_ascii("b.example.").unwrap(), RecordType::A));
        assert_eq!(asked(&two.to_vec().unwrap()).unwrap().metadata.response_code, ResponseCode::FormErr);
        let mut update = question("api.example.com.", RecordType::A);
        update.metadata.op_code = OpCode::Update;
        let said = asked(&update.to_vec().unwrap());
        assert_ne!(said.map(|said| said.answers.len()), Some(1));
    }

    #[test]
    fn an_answer_is_hardly_longer_than_its_question() {
        let asked = question("api.example.com.", RecordType::ANY).to_vec().unwrap();
        let said = answer(&asked, |_| Known::Address(ADDRESS)).unwrap();
        assert!(said.len() <= asked.len() + 16, "{} for {}", said.len(), asked.len());
    }
}
