//! Reading an archive: whatever its bytes are, it is either as it was written or refused.

use super::{
    ABOUT, ABOUT_BYTES_MAX, About, ArchiveError, BLOCK, FORMAT, Line, MANIFEST, Summary, header, is_name,
    padding, parse_number,
};
use aws_lc_rs::digest::{Context, SHA256};
use std::collections::HashSet;
use std::io::{self, Read};

/// Read at once.
const PART: usize = 256 << 10;

/// Takes the files of an archive. What it took is worth nothing until [`read`] has returned.
pub trait Take {
    /// A file begins.
    ///
    /// # Errors
    /// It cannot be put where it belongs; so for the other two.
    fn begin(&mut self, name: &str, bytes: u64) -> io::Result<()>;
    /// Its next bytes.
    fn data(&mut self, data: &[u8]) -> io::Result<()>;
    /// That were all.
    fn end(&mut self) -> io::Result<()>;
}

/// For whoever only wants to know whether it is whole.
impl Take for () {
    fn begin(&mut self, _: &str, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn data(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads an archive from beginning to end.
///
/// # Errors
/// Everything that is not as it was written, with the file that it is in.
pub fn read(input: impl Read, take: &mut dyn Take) -> Result<Summary, ArchiveError> {
    let mut reader = Reader { input, place: ABOUT.to_owned(), manifest: String::new(), modified_s: None };
    let about = reader.about()?;
    reader.modified_s = Some(about.created_s);
    let mut summary = Summary { about, files: 0, bytes: 0 };
    let mut names = HashSet::new();
    loop {
        let (name, bytes) = reader.head()?;
        if name == MANIFEST {
            reader.end(bytes)?;
            return Ok(summary);
        }
        if !is_name(&name) || name == ABOUT {
            return Err(ArchiveError::Name(name));
        }
        reader.place.clone_from(&name);
        let unpack = |error| ArchiveError::Unpack(name.clone(), error);
        take.begin(&name, bytes).map_err(unpack)?;
        reader.body(bytes, |data| take.data(data).map_err(unpack))?;
        take.end().map_err(unpack)?;
        summary.files += 1;
        summary.bytes = summary.bytes.saturating_add(bytes);
        if !names.insert(name.clone()) {
            return Err(ArchiveError::Damaged(name));
        }
    }
}

struct Reader<R> {
    input: R,
    /// The file that is read, for errors.
    place: String,
    manifest: String,
    /// What every header says.
    modified_s: Option<i64>,
}

impl<R: Read> Reader<R> {
    fn about(&mut self) -> Result<About, ArchiveError> {
        let (name, bytes) = self.head().map_err(|error| match error {
            ArchiveError::Damaged(_) => ArchiveError::Foreign,
            other => other,
        })?;
        if name != ABOUT || bytes > ABOUT_BYTES_MAX {
            return Err(ArchiveError::Foreign);
        }
        let text = self.small(bytes)?;
        // What a later format says besides is not known here; that it is later, it says in the same place.
        #[derive(serde::Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(&text).map_err(|_| self.damaged())?;
        if format > FORMAT {
            return Err(ArchiveError::Newer(format));
        }
        serde_json::from_slice(&text).map_err(|_| self.damaged())
    }

    /// The next name and length. All else that a header says must be as the writer says it.
    fn head(&mut self) -> Result<(String, u64), ArchiveError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        let name = block[..100].split(|byte| *byte == 0).next().unwrap_or_default();
        let name = str::from_utf8(name).map_err(|_| self.damaged())?;
        let bytes = parse_number(&block[124..136]).ok_or_else(|| self.damaged())?;
        let modified = parse_number(&block[136..148]).and_then(|modified| i64::try_from(modified).ok());
        let modified = modified.ok_or_else(|| self.damaged())?;
        let known = self.modified_s.unwrap_or(modified);
        if header(name, bytes, known) != block {
            return Err(self.damaged());
        }
        Ok((name.to_owned(), bytes))
    }

    /// The bytes of a file, and its line of the manifest.
    fn body(
        &mut self,
        bytes: u64,
        mut data: impl FnMut(&[u8]) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let (mut left, mut part, mut sum) = (bytes, vec![0; PART], Context::new(&SHA256));
        while left > 0 {
            let next = PART.min(usize::try_from(left).unwrap_or(PART));
            let part = &mut part[..next];
            self.fill(part)?;
            sum.update(part);
            data(part)?;
            left -= next as u64;
        }
        let mut rest = vec![0; padding(bytes)];
        self.fill(&mut rest)?;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(self.damaged());
        }
        self.manifest += &Line(sum.finish().as_ref(), &self.place).to_string();
        Ok(())
    }

    fn small(&mut self, bytes: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut content = Vec::new();
        self.body(bytes, |data| {
            content.extend_from_slice(data);
            Ok(())
        })?;
        Ok(content)
    }

    /// Compares what was read with the manifest, and makes sure that nothing follows.
    fn end(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        let manifest = std::mem::take(&mut self.manifest);
        self.place = MANIFEST.to_owned();
        if bytes > ABOUT_BYTES_MAX {
            return Err(self.damaged());
        }
        let told = self.small(bytes)?;
        // Which of the two is damaged nobody knows; the name that stands in both places is the better guess.
        let told = String::from_utf8(told).map_err(|_| self.damaged())?;
        let differs = manifest.lines().zip(told.lines()).find(|(read, told)| read != told);
        if let Some(name) = differs.and_then(|(read, _)| read.split_once("  ")) {
            return Err(ArchiveError::Damaged(name.1.to_owned()));
        }
        let mut rest = Vec::new();
        let more = (&mut self.input).take(2 * BLOCK as u64 + 1).read_to_end(&mut rest);
        more.map_err(|error| ArchiveError::Archive("read", error))?;
        if rest.len() < 2 * BLOCK {
            return Err(ArchiveError::Cut(self.place.clone()));
        }
        if manifest != told || rest.len() > 2 * BLOCK || rest.iter().any(|byte| *byte != 0) {
            return Err(self.damaged());
        }
        Ok(())
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), ArchiveError> {
        self.input.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::Cut(self.place.clone()),
            _ => ArchiveError::Archive("read", error),
        })
    }

    fn damaged(&self) -> ArchiveError {
        ArchiveError::Damaged(self.place.clone())
    }
}
