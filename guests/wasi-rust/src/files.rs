//! The words for files and folders. `D` and `N` are names of descriptors, `F` is `f` to
//! follow symlinks and `-` not to.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorStat, ErrorCode, NewTimestamp, OpenFlags,
    PathFlags,
};
use wasip2::clocks::wall_clock::Datetime;

use crate::{Answer, Slots, done, number};

/// The name of an error code.
pub(crate) fn code(error: ErrorCode) -> String {
    error.name().to_owned()
}

fn follow(word: &str) -> PathFlags {
    if word == "f" { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() }
}

fn open_flags(words: &str) -> OpenFlags {
    let mut flags = OpenFlags::empty();
    for word in words.split(',') {
        flags |= match word {
            "create" => OpenFlags::CREATE,
            "exclusive" => OpenFlags::EXCLUSIVE,
            "truncate" => OpenFlags::TRUNCATE,
            "directory" => OpenFlags::DIRECTORY,
            _ => OpenFlags::empty(),
        };
    }
    flags
}

fn descriptor_flags(words: &str) -> DescriptorFlags {
    let mut flags = DescriptorFlags::empty();
    for word in words.split(',') {
        flags |= match word {
            "read" => DescriptorFlags::READ,
            "write" => DescriptorFlags::WRITE,
            "mutate" => DescriptorFlags::MUTATE_DIRECTORY,
            "sync" => DescriptorFlags::FILE_INTEGRITY_SYNC,
            _ => DescriptorFlags::empty(),
        };
    }
    flags
}

fn timestamp(word: &str) -> NewTimestamp {
    match word {
        "-" => NewTimestamp::NoChange,
        "now" => NewTimestamp::Now,
        seconds => {
            NewTimestamp::Timestamp(Datetime { seconds: number(seconds), nanoseconds: 500 })
        }
    }
}

fn stat(stat: &DescriptorStat) -> String {
    format!("{:?} size={} links={}", stat.type_, stat.size, stat.link_count)
}

fn modified(stat: &DescriptorStat) -> String {
    match stat.data_modification_timestamp {
        Some(time) => format!("{}.{:09}", time.seconds, time.nanoseconds),
        None => "none".to_owned(),
    }
}

fn unit(result: Result<(), ErrorCode>) -> Answer {
    result.map_err(code).and_then(|()| done())
}

impl Slots {
    /// Runs a line that is about files.
    pub(crate) fn file(&mut self, words: &[&str]) -> Option<Answer> {
        Some(match *words {
            // preopens: their names. dir N NAME: the preopen of that name.
            ["preopens"] => {
                let names: Vec<String> = get_directories().into_iter().map(|(_, n)| n).collect();
                Ok(names.join(" "))
            }
            ["dir", name, path] => {
                let found = get_directories().into_iter().find(|(_, own)| own == path);
                match found {
                    Some((descriptor, _)) => self.keep(name, Ok(descriptor)),
                    None => Err("no preopen".to_owned()),
                }
            }
            // open N D F OPEN-FLAGS DESCRIPTOR-FLAGS PATH
            ["open", name, dir, at, open, flags, ref path @ ..] => {
                let opened = self.descriptor(dir).open_at(
                    follow(at),
                    &path.join(" "),
                    open_flags(open),
                    descriptor_flags(flags),
                );
                self.keep(name, opened)
            }
            ["close", name] => {
                self.descriptors.remove(name);
                done()
            }
            ["read", name, len, offset] => {
                let read = self.descriptor(name).read(number(len), number(offset));
                read.map_err(code).map(|(bytes, end)| {
                    let text = String::from_utf8_lossy(&bytes);
                    if end { format!("{text}<end>") } else { text.into_owned() }
                })
            }
            ["read-len", name, len, offset] => {
                let read = self.descriptor(name).read(number(len), number(offset));
                read.map_err(code).map(|(bytes, _)| bytes.len().to_string())
            }
            ["write", name, offset, ref text @ ..] => {
                let text = text.join(" ");
                let written = self.descriptor(name).write(text.as_bytes(), number(offset));
                written.map_err(code).map(|written| written.to_string())
            }
            ["write-len", name, len] => {
                let bytes = vec![b'x'; number(len) as usize];
                let written = self.descriptor(name).write(&bytes, 0);
                written.map_err(code).map(|written| written.to_string())
            }
            ["stat", name] => self.descriptor(name).stat().map_err(code).map(|s| stat(&s)),
            ["stat-at", dir, at, path] => {
                self.descriptor(dir).stat_at(follow(at), path).map_err(code).map(|s| stat(&s))
            }
            ["modified", name] => {
                self.descriptor(name).stat().map_err(code).map(|stat| modified(&stat))
            }
            ["set-times", name, access, modification] => unit(
                self.descriptor(name).set_times(timestamp(access), timestamp(modification)),
            ),
            ["set-times-at", dir, at, access, modification, path] => {
                unit(self.descriptor(dir).set_times_at(
                    follow(at),
                    path,
                    timestamp(access),
                    timestamp(modification),
                ))
            }
            ["set-size", name, size] => unit(self.descriptor(name).set_size(number(size))),
            ["sync", name] => unit(self.descriptor(name).sync()),
            ["sync-data", name] => unit(self.descriptor(name).sync_data()),
            ["advise", name] => unit(self.descriptor(name).advise(0, 10, Advice::Sequential)),
            ["flags", name] => {
                self.descriptor(name).get_flags().map_err(code).map(|flags| format!("{flags:?}"))
            }
            ["type", name] => {
                self.descriptor(name).get_type().map_err(code).map(|ty| format!("{ty:?}"))
            }
            ["same", one, other] => {
                let same = self.descriptor(one).is_same_object(self.descriptor(other));
                Ok(same.to_string())
            }
            ["hash", name] => self
                .descriptor(name)
                .metadata_hash()
                .map_err(code)
                .map(|hash| format!("{:x}{:x}", hash.upper, hash.lower)),
            ["hash-at", dir, at, path] => self
                .descriptor(dir)
                .metadata_hash_at(follow(at), path)
                .map_err(code)
                .map(|hash| format!("{:x}{:x}", hash.upper, hash.lower)),
            ["mkdir", dir, path] => unit(self.descriptor(dir).create_directory_at(path)),
            ["rmdir", dir, path] => unit(self.descriptor(dir).remove_directory_at(path)),
            ["unlink", dir, path] => unit(self.descriptor(dir).unlink_file_at(path)),
            ["rename", from, old, to, new] => {
                unit(self.descriptor(from).rename_at(old, self.descriptor(to), new))
            }
            ["link", from, at, old, to, new] => unit(self.descriptor(from).link_at(
                follow(at),
                old,
                self.descriptor(to),
                new,
            )),
            ["symlink", dir, target, path] => unit(self.descriptor(dir).symlink_at(target, path)),
            ["readlink", dir, path] => self.descriptor(dir).readlink_at(path).map_err(code),
            // ls D: names and types, sorted. ls-count D: how many. ls-keep D TIMES: opens a
            // listing so many times and keeps each.
            ["ls", dir] => self.list(dir).map(|mut entries| {
                entries.sort();
                entries.join(" ")
            }),
            ["ls-count", dir] => self.list(dir).map(|entries| entries.len().to_string()),
            ["ls-keep", dir, times] => {
                for count in 0..number(times) {
                    match self.descriptor(dir).read_directory() {
                        Ok(listing) => self.listings.push(listing),
                        Err(error) => return Some(Err(format!("{} after {count}", code(error)))),
                    }
                }
                done()
            }
            // open-many D COUNT PATH, input-many N COUNT, preopens-many COUNT: until one is
            // refused. All are kept.
            ["open-many", dir, count, path] => {
                for count in 0..number(count) {
                    let (open, flags) = (OpenFlags::empty(), DescriptorFlags::READ);
                    let dir = &self.descriptors[dir];
                    match dir.open_at(PathFlags::empty(), path, open, flags) {
                        Ok(descriptor) => self.many.push(descriptor),
                        Err(error) => return Some(Err(format!("{} after {count}", code(error)))),
                    }
                }
                done()
            }
            // The same, but each is closed and only its stream kept.
            ["open-stream-many", dir, count, path] => {
                for count in 0..number(count) {
                    let (open, flags) = (OpenFlags::empty(), DescriptorFlags::READ);
                    let dir = &self.descriptors[dir];
                    match dir.open_at(PathFlags::empty(), path, open, flags) {
                        Ok(descriptor) => {
                            self.many_inputs.push(descriptor.read_via_stream(0).unwrap());
                        }
                        Err(error) => return Some(Err(format!("{} after {count}", code(error)))),
                    }
                }
                done()
            }
            ["open-close-many", dir, count, path] => {
                for count in 0..number(count) {
                    let (open, flags) = (OpenFlags::empty(), DescriptorFlags::READ);
                    let dir = &self.descriptors[dir];
                    if let Err(error) = dir.open_at(PathFlags::empty(), path, open, flags) {
                        return Some(Err(format!("{} after {count}", code(error))));
                    }
                }
                done()
            }
            ["close-many"] => {
                self.many_inputs.clear();
                self.many.clear();
                done()
            }
            ["input-many", name, count] => {
                for count in 0..number(count) {
                    match self.descriptors[name].read_via_stream(0) {
                        Ok(stream) => self.many_inputs.push(stream),
                        Err(error) => return Some(Err(format!("{} after {count}", code(error)))),
                    }
                }
                done()
            }
            ["preopens-many", count] => {
                for _ in 0..number(count) {
                    self.many.extend(get_directories().into_iter().map(|(dir, _)| dir));
                }
                done()
            }
            _ => return None,
        })
    }

    fn keep(&mut self, name: &str, opened: Result<Descriptor, ErrorCode>) -> Answer {
        let descriptor = opened.map_err(code)?;
        self.descriptors.insert(name.to_owned(), descriptor);
        done()
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, String> {
        let listing = self.descriptor(dir).read_directory().map_err(code)?;
        let mut entries = Vec::new();
        while let Some(entry) = listing.read_directory_entry().map_err(code)? {
            entries.push(format!("{}:{:?}", entry.name, entry.type_));
        }
        Ok(entries)
    }
}
