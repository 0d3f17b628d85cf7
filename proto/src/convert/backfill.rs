//! Pieces of a journal and losses, as messages and back.

use super::{ConvertError, pair, word};
use crate::v1;
use crate::v1::backfill_request::Message;
use quorate_common::model::backfill::{Backfill, Known, Loss, LossCause, Piece};

pair!(LossCause, LossCause, "loss.cause", { Overflow, Unwritten, Damaged });

impl From<Backfill> for v1::BackfillRequest {
    fn from(message: Backfill) -> Self {
        let message = match message {
            Backfill::Piece(Piece { epoch, boot_id, packed }) => Message::Piece(v1::Piece {
                epoch: Some(epoch.into()),
                boot_id: boot_id.to_vec().into(),
                packed,
            }),
            Backfill::Loss(Loss { epoch, first, last, collected_total, cause }) => Message::Loss(v1::Loss {
                epoch: Some(epoch.into()),
                first,
                last,
                collected_total,
                cause: v1::LossCause::from(cause).into(),
            }),
        };
        v1::BackfillRequest { message: Some(message) }
    }
}

impl TryFrom<v1::BackfillRequest> for Backfill {
    type Error = ConvertError;

    fn try_from(request: v1::BackfillRequest) -> Result<Self, ConvertError> {
        Ok(match request.message.ok_or(ConvertError::Missing("message"))? {
            Message::Piece(piece) => Backfill::Piece(read_piece(piece)?),
            Message::Loss(loss) => Backfill::Loss(read_loss(loss)?),
        })
    }
}

fn read_piece(piece: v1::Piece) -> Result<Piece, ConvertError> {
    let boot_id = piece.boot_id.as_ref().try_into().map_err(|_| {
        ConvertError::invalid("piece.boot_id", format!("{} bytes, must be 16", piece.boot_id.len()))
    })?;
    let epoch = piece.epoch.ok_or(ConvertError::Missing("piece.epoch"))?.into();
    Ok(Piece { epoch, boot_id, packed: piece.packed })
}

fn read_loss(loss: v1::Loss) -> Result<Loss, ConvertError> {
    let v1::Loss { first, last, collected_total, .. } = loss;
    if first == 0 || first > last {
        return Err(ConvertError::invalid("loss.first", format!("frames {first} to {last} are no range")));
    }
    let epoch = loss.epoch.ok_or(ConvertError::Missing("loss.epoch"))?.into();
    Ok(Loss {
        epoch,
        first,
        last,
        collected_total,
        cause: word::<v1::LossCause, _>(loss.cause, "loss.cause")?,
    })
}

impl From<Known> for v1::BackfillResponse {
    fn from(known: Known) -> Self {
        v1::BackfillResponse {
            epoch: Some(known.epoch.into()),
            durable: known.durable,
            above: known.above.into_iter().map(Into::into).collect(),
            refused: known.refused.unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::BackfillResponse> for Known {
    type Error = ConvertError;

    fn try_from(response: v1::BackfillResponse) -> Result<Self, ConvertError> {
        Ok(Known {
            epoch: response.epoch.ok_or(ConvertError::Missing("epoch"))?.into(),
            durable: response.durable,
            above: response.above.into_iter().map(Into::into).collect(),
            refused: Some(response.refused).filter(|text| !text.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::model::session::{Epoch, SeqRange};

    const EPOCH: Epoch = Epoch { order: 2, nonce: 9 };
    const LOSS: Loss =
        Loss { epoch: EPOCH, first: 3, last: 3, collected_total: 7, cause: LossCause::Damaged };

    #[test]
    fn reads_back_what_it_wrote() {
        let piece = Piece { epoch: EPOCH, boot_id: [3; 16], packed: vec![1, 2].into() };
        for message in [Backfill::Piece(piece), Backfill::Loss(LOSS)] {
            assert_eq!(Backfill::try_from(v1::BackfillRequest::from(message.clone())).unwrap(), message);
        }
        let above = vec![SeqRange { first: 5, last: 6 }];
        for refused in [None, Some("no".to_owned())] {
            let known = Known { epoch: EPOCH, durable: 3, above: above.clone(), refused };
            assert_eq!(Known::try_from(v1::BackfillResponse::from(known.clone())).unwrap(), known);
        }
    }

    #[test]
    fn wrong_messages_name_their_field() {
        let check = |message: Option<Message>, expect: &str| {
            let error = Backfill::try_from(v1::BackfillRequest { message }).unwrap_err();
            assert_eq!(error.to_string(), expect);
        };
        let loss = v1::Loss { epoch: Some(EPOCH.into()), first: 1, last: 1, cause: 1, collected_total: 0 };
        check(None, "field `message` is missing");
        let piece = v1::Piece { epoch: Some(EPOCH.into()), ..v1::Piece::default() };
        check(Some(Message::Piece(piece)), "field `piece.boot_id`: 0 bytes, must be 16");
        check(
            Some(Message::Loss(v1::Loss { first: 2, ..loss })),
            "field `loss.first`: frames 2 to 1 are no range",
        );
        check(Some(Message::Loss(v1::Loss { epoch: None, ..loss })), "field `loss.epoch` is missing");
        check(Some(Message::Loss(v1::Loss { cause: 9, ..loss })), "field `loss.cause`: unknown number 9");
    }
}
