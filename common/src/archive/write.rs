//! Writing an archive: files one after the other, then what they add up to.

use super::{ABOUT, About, ArchiveError, BLOCK, Line, MANIFEST, Summary, header, is_name, padding};
use aws_lc_rs::digest::{Context, SHA256};
use std::io::Write;

/// See the module.
pub struct Writer<W> {
    out: W,
    summary: Summary,
    manifest: String,
    file: Option<File>,
}

/// The file that is written.
struct File {
    name: String,
    announced: u64,
    bytes: u64,
    sum: Context,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(out: W, about: About) -> Result<Writer<W>, ArchiveError> {
        let text = serde_json::to_string(&about).map_err(|error| failed(error.into()))? + "\n";
        let summary = Summary { about, files: 0, bytes: 0 };
        let mut writer = Writer { out, summary, manifest: String::new(), file: None };
        writer.whole(ABOUT, text.as_bytes())?;
        Ok(writer)
    }

    /// Begins a file of so many bytes.
    ///
    /// # Errors
    /// A name that is none, the file before if it was cut short, or it cannot be written.
    pub fn file(&mut self, name: &str, bytes: u64) -> Result<(), ArchiveError> {
        if !is_name(name) || name == ABOUT || name == MANIFEST {
            return Err(ArchiveError::Name(name.to_owned()));
        }
        self.summary.files += 1;
        self.summary.bytes = self.summary.bytes.saturating_add(bytes);
        self.head(name, bytes)
    }

    /// The next bytes of the file.
    ///
    /// # Errors
    /// More than were announced, or it cannot be written.
    pub fn data(&mut self, data: &[u8]) -> Result<(), ArchiveError> {
        let Some(file) = &mut self.file else { return Err(ArchiveError::Name(String::new())) };
        file.bytes = file.bytes.saturating_add(data.len() as u64);
        if file.bytes > file.announced {
            return Err(file.length());
        }
        file.sum.update(data);
        self.out.write_all(data).map_err(failed)
    }

    /// Ends the archive. It is not synced.
    ///
    /// # Errors
    /// The last file if it was cut short, or it cannot be written.
    pub fn finish(mut self) -> Result<(W, Summary), ArchiveError> {
        self.end()?;
        let manifest = std::mem::take(&mut self.manifest);
        self.whole(MANIFEST, manifest.as_bytes())?;
        self.out.write_all(&[0; 2 * BLOCK]).and_then(|()| self.out.flush()).map_err(failed)?;
        Ok((self.out, self.summary))
    }

    fn whole(&mut self, name: &str, content: &[u8]) -> Result<(), ArchiveError> {
        self.head(name, content.len() as u64)?;
        self.data(content)?;
        self.end()
    }

    fn head(&mut self, name: &str, bytes: u64) -> Result<(), ArchiveError> {
        self.end()?;
        self.out.write_all(&header(name, bytes, self.summary.about.created_s)).map_err(failed)?;
        self.file =
            Some(File { name: name.to_owned(), announced: bytes, bytes: 0, sum: Context::new(&SHA256) });
        Ok(())
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        let Some(file) = self.file.take() else { return Ok(()) };
        if file.bytes != file.announced {
            return Err(file.length());
        }
        self.out.write_all(&vec![0; padding(file.bytes)]).map_err(failed)?;
        self.manifest += &Line(file.sum.finish().as_ref(), &file.name).to_string();
        Ok(())
    }
}

impl File {
    fn length(&self) -> ArchiveError {
        ArchiveError::Length { name: self.name.clone(), announced: self.announced, bytes: self.bytes }
    }
}

fn failed(error: std::io::Error) -> ArchiveError {
    ArchiveError::Archive("write", error)
}
