//! File systems of their own, as root: one that loses power, and one that is small.
//!
//! A power cut must leave what a disk had at one moment: every write before it and none after. A copy of the backing
//! file while the kernel goes on writing is no such moment, and a frozen file system is a clean one. So ext4 is told
//! to stop (its shutdown call, without a flush of its journal, as file system developers pull the plug): from that
//! moment nothing reaches the device, and what was in memory alone is gone. Then the backing file is copied and the
//! copy is mounted, whose journal the kernel replays as after any crash. Meanwhile whoever has the old one open sees
//! EIO at every call: it must not acknowledge anything more.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const BYTES: u64 = 192 << 20;
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`; there is no program for it.
const SHUTDOWN: &str = "import fcntl, os, struct, sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// A mounted file system; it is unmounted when this is dropped, whoever still uses it.
pub struct Volume {
    place: PathBuf,
    /// The backing file.
    image: Option<PathBuf>,
    images: u32,
    dir: TempDir,
}

impl Volume {
    /// An ext4 on a loop device.
    ///
    /// # Errors
    /// Why there is none here.
    pub fn ext4() -> Result<Volume, String> {
        let mut volume = Volume::new();
        let image = volume.dir.path().join("image-0");
        std::fs::File::create(&image)
            .and_then(|file| file.set_len(BYTES))
            .map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.as_ref()])?;
        volume.mount(&["-o", "loop"], &image)?;
        volume.image = Some(image);
        Ok(volume)
    }

    /// A tmpfs of so many bytes and inodes.
    ///
    /// # Errors
    /// Why there is none here.
    pub fn tmpfs(options: &str) -> Result<Volume, String> {
        let volume = Volume::new();
        volume.mount(&["-t", "tmpfs", "-o", options], Path::new("tmpfs"))?;
        Ok(volume)
    }

    fn new() -> Volume {
        let dir = tempfile::Builder::new().prefix("quorate-volume-").tempdir().unwrap();
        let place = dir.path().join("place");
        std::fs::create_dir(&place).unwrap();
        Volume { place, image: None, images: 0, dir }
    }

    fn mount(&self, options: &[&str], source: &Path) -> Result<(), String> {
        let mut args: Vec<&Path> = options.iter().map(Path::new).collect();
        args.extend([source, &self.place]);
        run("mount", &args)
    }

    /// A private directory on it, which is made if it is not there.
    pub fn state(&self) -> PathBuf {
        let state = self.place.join("state");
        std::fs::create_dir_all(&state).unwrap();
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).unwrap();
        state
    }

    /// Where it is mounted.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// From now on whoever writes waits, even if it is killed.
    pub fn freeze(&self) {
        run("fsfreeze", &["-f".as_ref(), self.place.as_path()]).unwrap();
    }

    /// Writers go on.
    pub fn thaw(&self) {
        run("fsfreeze", &["-u".as_ref(), self.place.as_path()]).unwrap();
    }

    /// Cuts the power of an ext4: nothing that is written from now on is ever there.
    pub fn cut(&self) {
        run("python3", &["-c".as_ref(), SHUTDOWN.as_ref(), self.place.as_ref()]).unwrap();
    }

    /// Puts what the disk had when the power was cut in its place; nobody may use the old one.
    pub fn restore(&mut self) {
        let old = self.image.take().unwrap();
        self.images += 1;
        let new = self.dir.path().join(format!("image-{}", self.images));
        std::fs::copy(&old, &new).unwrap();
        run("umount", &[&self.place]).unwrap();
        std::fs::remove_file(old).unwrap();
        self.mount(&["-o", "loop"], &new).unwrap();
        self.image = Some(new);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // A process that waits for a frozen file system cannot end. Mostly it is not frozen, which is fine.
        run("fsfreeze", &["-u".as_ref(), self.place.as_path()]).ok();
        // Lazily: what is left of a failed test may still hold it.
        run("umount", &["-l".as_ref(), self.place.as_path()]).ok();
    }
}

fn run(program: &str, args: &[&Path]) -> Result<(), String> {
    let ended = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    if ended.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}
