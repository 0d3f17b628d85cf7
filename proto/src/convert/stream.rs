//! The agent's side of a session as messages: what stands in one leans on those before it.
//!
//! One [`SessionWriter`] and one [`SessionReader`] for each session; both see every message, in order. Towards the
//! agent nothing is remembered: there messages are values, see [`session`](super::session).

use super::head::Foretold;
use super::register::{Read, RegisterLimits, Written};
use super::{ConvertError, word};
use crate::v1;
use crate::v1::session_request::Message as Up;
use prost::Message;
use quorate_common::model::session::{AgentMessage, ByeReason};

/// Turns what an agent says into messages.
#[derive(Debug, Default)]
pub struct SessionWriter {
    foretold: Foretold,
    registered: Written,
}

impl SessionWriter {
    /// The next message of the session.
    pub fn write(&mut self, message: AgentMessage) -> v1::SessionRequest {
        let message = match message {
            AgentMessage::Hello(hello) => Up::Hello(hello.into()),
            AgentMessage::Register(register) => Up::Register(self.registered.write(&register)),
            AgentMessage::Frame(frame) => Up::Frame(self.foretold.write(frame)),
            AgentMessage::Bye(reason) => Up::Bye(v1::Bye { reason: v1::ByeReason::from(reason).into() }),
        };
        v1::SessionRequest { message: Some(message) }
    }

    /// The next message as bytes, behind their length: any number of them can stand behind one another.
    pub fn bytes(&mut self, message: AgentMessage) -> Vec<u8> {
        self.write(message).encode_length_delimited_to_vec()
    }
}

/// Turns messages into what an agent said.
#[derive(Debug)]
pub struct SessionReader {
    foretold: Foretold,
    registered: Read,
}

impl SessionReader {
    /// A reader before the first message.
    pub fn new(limits: RegisterLimits) -> SessionReader {
        SessionReader { foretold: Foretold::default(), registered: Read::new(limits) }
    }

    /// What the next message of the session says.
    ///
    /// # Errors
    /// It says what cannot be. What comes after it cannot be read either: the session is over.
    pub fn read(&mut self, message: v1::SessionRequest) -> Result<AgentMessage, ConvertError> {
        Ok(match message.message.ok_or(ConvertError::Missing("message"))? {
            Up::Hello(hello) => AgentMessage::Hello(hello.try_into()?),
            Up::Register(register) => AgentMessage::Register(self.registered.read(register)?),
            Up::Frame(frame) => AgentMessage::Frame(self.foretold.read(frame)?),
            // A farewell for a reason that a newer agent may have is still a farewell.
            Up::Bye(bye) => AgentMessage::Bye(
                word::<v1::ByeReason, _>(bye.reason, "bye.reason").unwrap_or(ByeReason::Stop),
            ),
        })
    }

    /// All messages that stand behind one another, see [`SessionWriter::bytes`].
    ///
    /// # Errors
    /// As for [`SessionReader::read`], or the bytes are no messages.
    pub fn all(&mut self, mut bytes: &[u8]) -> Result<Vec<AgentMessage>, ConvertError> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let message = v1::SessionRequest::decode_length_delimited(&mut bytes);
            let message = message.map_err(|error| ConvertError::invalid("piece.packed", error))?;
            messages.push(self.read(message)?);
        }
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::model::node::HostFacts;
    use quorate_common::model::series::Window;
    use quorate_common::model::session::{Epoch, Frame, Held, Hello, Register};

    fn hello() -> Hello {
        let epoch = Epoch { order: 3, nonce: u64::MAX };
        Hello {
            protocol: 1,
            epoch,
            boot_id: [7; 16],
            boot_ns: 4,
            wall_ns: -5,
            interval_ms: 1000,
            held: vec![Held { epoch, first: 1, last: 9 }],
            facts: HostFacts { hostname: "h".into(), ..HostFacts::default() },
        }
    }

    fn reader() -> SessionReader {
        SessionReader::new(RegisterLimits { series_max: 10 })
    }

    #[test]
    fn a_session_reads_back() {
        let frame = Frame {
            seq: 4,
            predecessor: 3,
            window: Some(Window::Medium),
            boot_ns: 1_000,
            wall_ns: -1_000,
            next_due_ms: 1000,
            collected_total: 99,
            echo: 2,
            groups: vec![1].into(),
            cells: vec![2, 3].into(),
        };
        let (mut writer, mut reader) = (SessionWriter::default(), reader());
        let said = [
            AgentMessage::Hello(hello()),
            AgentMessage::Register(Register { groups: Vec::new(), retire: vec![3] }),
            AgentMessage::Frame(frame.clone()),
            AgentMessage::Frame(Frame { seq: 5, ..frame }),
            AgentMessage::Bye(ByeReason::Drain),
        ];
        for message in said.clone() {
            let bytes = writer.write(message.clone()).encode_to_vec();
            assert_eq!(reader.read(v1::SessionRequest::decode(bytes.as_slice()).unwrap()).unwrap(), message);
        }
        let mut writer = SessionWriter::default();
        let bytes = said.iter().flat_map(|message| writer.bytes(message.clone())).collect::<Vec<_>>();
        assert_eq!(self::reader().all(&bytes).unwrap(), said);
        let error = self::reader().all(&bytes[..bytes.len() - 1]).unwrap_err();
        assert!(error.to_string().starts_with("field `piece.packed`: "), "{error}");
    }

    #[test]
    fn wrong_messages_name_their_field() {
        let check = |message: Option<Up>, expect: &str| {
            let error = reader().read(v1::SessionRequest { message }).unwrap_err();
            assert_eq!(error.to_string(), expect);
        };
        let wire = v1::Hello::from(hello());
        check(None, "field `message` is missing");
        check(Some(Up::Hello(v1::Hello { epoch: None, ..wire.clone() })), "field `hello.epoch` is missing");
        check(
            Some(Up::Hello(v1::Hello { boot_id: vec![1], ..wire.clone() })),
            "field `hello.boot_id`: 1 bytes, must be 16",
        );
        let mut empty = wire.clone();
        empty.held[0].first = 10;
        check(Some(Up::Hello(empty)), "field `hello.held`: frames 10 to 9 are no range");
        let later = v1::SessionRequest { message: Some(Up::Bye(v1::Bye { reason: 99 })) };
        assert_eq!(
            reader().read(later).unwrap(),
            AgentMessage::Bye(ByeReason::Stop),
            "a farewell all the same"
        );
    }
}
