//! A file that holds a `DiscoveryResponse`, read again whenever another file is moved into its place.
//! (envoy: config.core.v3.PathConfigSource)
//!
//! A file that is written in place is not read: half of it may be there. With a watched directory it is a move into that directory that counts,
//! as Kubernetes swaps the symbolic link `..data`.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrigger_xds_api::envoy::service::discovery::v3::DiscoveryResponse;
use outrigger_xds_api::{Document, Pool, ReadError, Unknown};
use prost::Message;
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

use crate::resource::{Resource, ResourceError, ResourceType};
use crate::update::{Extent, Update};

/// Which file, and what makes it be read again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WatchedFile {
    /// The file.
    pub path: PathBuf,
    /// A directory into which something is moved instead. (envoy: watched_directory)
    pub directory: Option<PathBuf>,
}

/// Why a file was not taken. What it said before holds.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or watched.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no response.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is a binary response that cannot be decoded.
    #[error("{}: not a discovery response: {error}", .path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        error: prost::DecodeError,
    },
    /// It holds something that is no resource of the type.
    #[error("{}: resources[{index}]: {error}", .path.display())]
    Resource {
        /// The file.
        path: PathBuf,
        /// Which of its resources.
        index: usize,
        /// Why.
        error: ResourceError,
    },
}

/// Tells when the file is to be read again.
#[derive(Debug)]
pub struct Watch {
    notifier: AsyncFd<OwnedFd>,
    /// The name that counts, or any.
    name: Option<Vec<u8>>,
}

impl WatchedFile {
    /// Reads the file: YAML, JSON or, by the extension `.pb`, a binary message.
    ///
    /// # Errors
    /// If it is no response with resources of this type.
    pub fn read(&self, kind: ResourceType) -> Result<Update, FileError> {
        let io = |error| FileError::Io { path: self.path.clone(), error };
        let bytes = fs::read(&self.path).map_err(io)?;
        let response: DiscoveryResponse = if self.path.extension().is_some_and(|e| e == "pb") {
            DiscoveryResponse::decode(bytes.as_slice())
                .map_err(|error| FileError::Decode { path: self.path.clone(), error })?
        } else {
            let document = Document::parse(&self.path.to_string_lossy(), bytes)?;
            document.read(&Pool::load(), Unknown::Refuse)?
        };
        let version: Arc<str> = response.version_info.into();
        let mut resources = Vec::with_capacity(response.resources.len());
        for (index, element) in response.resources.into_iter().enumerate() {
            let resource = Resource::open(kind, &version, element)
                .map_err(|error| FileError::Resource { path: self.path.clone(), index, error })?;
            resources.push(resource);
        }
        Ok(Update { kind, version, resources, removed: Vec::new(), extent: Extent::Everything })
    }

    /// Begins to watch. Watch first and read then, and no change is lost.
    ///
    /// # Errors
    /// If the directory cannot be watched. Must be called on a runtime.
    pub fn watch(&self) -> Result<Watch, FileError> {
        let (directory, name) = match &self.directory {
            Some(directory) => (directory.as_path(), None),
            None => {
                let name = self.path.file_name().map(|name| name.as_encoded_bytes().to_vec());
                (self.path.parent().unwrap_or_else(|| Path::new("")), name)
            }
        };
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let open = || {
            let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
            let notifier = inotify::init(flags)?;
            inotify::add_watch(&notifier, directory, inotify::WatchFlags::MOVED_TO)?;
            #[expect(
                deprecated,
                reason = "an `OwnedFd` keeps what `register` demands, without unsafe code"
            )]
            AsyncFd::new(notifier)
        };
        match open() {
            Ok(notifier) => Ok(Watch { notifier, name }),
            Err(error) => Err(FileError::Io { path: directory.into(), error }),
        }
    }
}

impl Watch {
    /// Waits until the file was replaced.
    ///
    /// # Errors
    /// If the kernel refuses to tell.
    pub async fn moved(&self) -> io::Result<()> {
        loop {
            let mut guard = self.notifier.readable().await?;
            if let Ok(drained) = guard.try_io(|notifier| self.drain(notifier.get_ref()))
                && drained?
            {
                return Ok(());
            }
        }
    }

    /// Takes the events that have come; true if one is ours.
    fn drain(&self, notifier: &OwnedFd) -> io::Result<bool> {
        // One event with the longest name fits (inotify(7)).
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        let mut reader = inotify::Reader::new(notifier, &mut buffer);
        let mut is_ours = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(std::ffi::CStr::to_bytes);
                    // Events that were lost may have been ours.
                    is_ours |= event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW)
                        || self.name.is_none()
                        || name == self.name.as_deref();
                }
                Err(rustix::io::Errno::AGAIN) if is_ours => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CLUSTER: &str = r#"
version_info: "1"
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: up
"#;

    async fn is_moved(watch: &Watch) -> bool {
        tokio::time::timeout(Duration::from_millis(200), watch.moved()).await.is_ok()
    }

    #[tokio::test]
    async fn a_move_into_place_is_noticed_and_a_write_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cds.yaml");
        fs::write(&path, CLUSTER).unwrap();
        let file = WatchedFile { path: path.clone(), directory: None };
        let watch = file.watch().unwrap();

        let update = file.read(ResourceType::Cluster).unwrap();
        assert_eq!((&*update.version, update.resources.len()), ("1", 1));

        fs::write(&path, CLUSTER).unwrap();
        assert!(!is_moved(&watch).await);
        let other = directory.path().join("other");
        fs::write(&other, CLUSTER).unwrap();
        fs::rename(&other, directory.path().join("another")).unwrap();
        assert!(!is_moved(&watch).await, "another file");
        fs::write(&other, CLUSTER).unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(is_moved(&watch).await);
        assert!(!is_moved(&watch).await, "noticed once");
    }

    #[tokio::test]
    async fn any_move_into_the_watched_directory_counts() {
        let directory = tempfile::tempdir().unwrap();
        let file = WatchedFile {
            path: directory.path().join("data/cds.yaml"),
            directory: Some(directory.path().into()),
        };
        let watch = file.watch().unwrap();
        fs::write(directory.path().join("tmp"), "").unwrap();
        fs::rename(directory.path().join("tmp"), directory.path().join("..data")).unwrap();
        assert!(is_moved(&watch).await);
    }

    #[test]
    fn a_file_that_is_no_response_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.yaml");
        let file = WatchedFile { path: path.clone(), directory: None };
        let error = |text: &str| {
            fs::write(&path, text).unwrap();
            file.read(ResourceType::Listener).unwrap_err().to_string()
        };
        let text = error("resources:\n- nonsense: 1\n");
        assert!(text.contains("x.yaml:2"), "{text}");
        let text = error(CLUSTER);
        assert!(text.contains("resources[0]: unexpected type URL"), "{text}");
        fs::remove_file(&path).unwrap();
        assert!(matches!(file.read(ResourceType::Listener), Err(FileError::Io { .. })));
    }
}
