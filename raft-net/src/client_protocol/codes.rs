//! The numbers by which what is not an answer travels.

/// The numbers by which refusals travel. A number is never used for anything else.
pub(super) mod refusal_code {
    use raft_core::replica::event::Refusal;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(in crate::client_protocol) fn serialize<S: Serializer>(
        refusal: &Refusal,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u8(match refusal {
            Refusal::NoLeader => 1,
            Refusal::Overloaded => 2,
            Refusal::TooLarge => 3,
            Refusal::Stopping => 4,
            Refusal::Unknown => 5,
            Refusal::NotHandedOver => 6,
            Refusal::NoSpace => 7,
            Refusal::Fenced => 8,
        })
    }

    pub(in crate::client_protocol) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Refusal, D::Error> {
        match u8::deserialize(from)? {
            1 => Ok(Refusal::NoLeader),
            2 => Ok(Refusal::Overloaded),
            3 => Ok(Refusal::TooLarge),
            4 => Ok(Refusal::Stopping),
            5 => Ok(Refusal::Unknown),
            6 => Ok(Refusal::NotHandedOver),
            7 => Ok(Refusal::NoSpace),
            8 => Ok(Refusal::Fenced),
            code => Err(D::Error::custom(format_args!(
                "refusal {code} is unknown here, the other end is of a later version"
            ))),
        }
    }
}

/// The numbers by which the session rules' words travel.
pub(super) mod session_refusal_code {
    use raft_core::replica::event::SessionRefusal;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(in crate::client_protocol) fn serialize<S: Serializer>(
        refusal: &SessionRefusal,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u8(match refusal {
            SessionRefusal::AlreadyAcknowledged => 1,
            SessionRefusal::WindowExceeded => 2,
            SessionRefusal::SessionExpired => 3,
        })
    }

    pub(in crate::client_protocol) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SessionRefusal, D::Error> {
        match u8::deserialize(from)? {
            1 => Ok(SessionRefusal::AlreadyAcknowledged),
            2 => Ok(SessionRefusal::WindowExceeded),
            3 => Ok(SessionRefusal::SessionExpired),
            code => Err(D::Error::custom(format_args!(
                "session refusal {code} is unknown here, the other end is of a later version"
            ))),
        }
    }
}
