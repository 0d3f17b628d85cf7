//! Codec: protocol buffers with small buffers. Thousands of sessions are quiet most of the time, and each has one
//! buffer for what comes and one for what goes; what is larger makes them grow.

use std::marker::PhantomData;
use tonic::codec::BufferSettings;
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// Enough for the messages of a session that has begun.
const BUFFER_BYTES: usize = 1024;
/// What is encoded ahead of the transport, as tonic has it.
const AHEAD_BYTES: usize = 32 * 1024;

/// Writes `T`, reads `U`. The generated clients and servers make one for each call.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<fn(T) -> U>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Codec(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: prost::Message + Send + 'static,
    U: prost::Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstCodec::<T, U>::raw_encoder(buffers())
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstCodec::<T, U>::raw_decoder(buffers())
    }
}

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, AHEAD_BYTES)
}
