//! The header of a gzip member (RFC 1952, section 2.3).

use flate2::Crc;

use super::{Fault, Level};

/// Most bytes of a name or of a comment to write. File names have 255, paths 4096.
pub const MAX_TEXT: usize = 64 * 1024;
/// Most bytes of one that is kept where somebody wants to know it. The format sets no limit.
pub const MAX_KEPT_TEXT: usize = 1024 * 1024;

pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];
const METHOD_DEFLATE: u8 = 8;
const OS_UNIX: u8 = 3;
/// Magic, method, flags, mtime, extra flags, system.
const FIXED: usize = 10;

const TEXT: u8 = 1;
const CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const KNOWN: u8 = TEXT | CHECKSUM | EXTRA | NAME | COMMENT;

/// What a gzip member says about the file that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The file's name, without folders; ISO 8859-1 by the RFC, anything in practice.
    pub name: Option<Vec<u8>>,
    /// A remark for people, in the same encoding.
    pub comment: Option<Vec<u8>>,
    /// When the file was changed, in seconds since 1970; 0: not known.
    pub mtime: u32,
    /// The file is thought to be text.
    pub text: bool,
}

impl Header {
    /// Appends the header to `into`. A zero byte ends a text, so what is behind one is not written.
    pub(super) fn write(&self, level: Level, into: &mut Vec<u8>) {
        let flag = |condition, bit| if condition { bit } else { 0 };
        let flags = flag(self.text, TEXT)
            | flag(self.name.is_some(), NAME)
            | flag(self.comment.is_some(), COMMENT);
        let extra_flags = match level.get() {
            9 => 2,
            0 | 1 => 4,
            _ => 0,
        };
        into.extend_from_slice(&MAGIC);
        into.extend_from_slice(&[METHOD_DEFLATE, flags]);
        into.extend_from_slice(&self.mtime.to_le_bytes());
        into.extend_from_slice(&[extra_flags, OS_UNIX]);
        for text in [&self.name, &self.comment].into_iter().flatten() {
            let end = memchr::memchr(0, text).unwrap_or(text.len());
            into.extend_from_slice(&text[..end]);
            into.push(0);
        }
    }
}

/// Where a header is, and what is left of that part.
#[derive(Debug)]
enum Stage {
    Fixed { bytes: [u8; FIXED], have: usize },
    ExtraLength { low: Option<u8> },
    Extra { left: usize },
    Name,
    Comment,
    Checksum { low: Option<u8> },
    Complete,
}

/// A header as it comes in, in pieces of any size. Keeps the two texts where somebody wants them,
/// and nothing else of what it has seen.
#[derive(Debug)]
pub(super) struct HeaderReader {
    stage: Stage,
    keeps_texts: bool,
    flags: u8,
    crc: Crc,
    header: Header,
}

impl HeaderReader {
    pub(super) fn new(keeps_texts: bool) -> Self {
        Self {
            stage: Stage::Fixed { bytes: [0; FIXED], have: 0 },
            keeps_texts,
            flags: 0,
            crc: Crc::new(),
            header: Header::default(),
        }
    }

    /// Takes what belongs to the header from the front of `input`; how many bytes that are.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let mut consumed = 0;
        while consumed < input.len() && !self.is_complete() {
            consumed += self.advance(&input[consumed..])?;
        }
        Ok(consumed)
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.stage, Stage::Complete)
    }

    pub(super) fn into_header(self) -> Header {
        self.header
    }

    /// One byte, or all that is there of a part that may be long. `input` is not empty.
    fn advance(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let first = input[0];
        let mut count = 1;
        match &mut self.stage {
            Stage::Fixed { bytes, have } => {
                bytes[*have] = first;
                *have += 1;
                check_fixed(&bytes[..*have])?;
                if *have == FIXED {
                    self.crc.update(bytes);
                    self.flags = bytes[3];
                    self.header.text = self.flags & TEXT != 0;
                    self.header.mtime =
                        u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
                    self.stage = self.part_from(EXTRA);
                }
                return Ok(1);
            }
            Stage::ExtraLength { low } => match low.replace(first) {
                None => {}
                Some(low) => {
                    let left = usize::from(u16::from_le_bytes([low, first]));
                    self.stage =
                        if left > 0 { Stage::Extra { left } } else { self.part_from(NAME) };
                }
            },
            Stage::Extra { left } => {
                count = input.len().min(*left);
                *left -= count;
                if *left == 0 {
                    self.stage = self.part_from(NAME);
                }
            }
            Stage::Name => {
                let ended;
                (count, ended) = take_text(&mut self.header.name, self.keeps_texts, input)?;
                if ended {
                    self.stage = self.part_from(COMMENT);
                }
            }
            Stage::Comment => {
                let ended;
                (count, ended) = take_text(&mut self.header.comment, self.keeps_texts, input)?;
                if ended {
                    self.stage = self.part_from(CHECKSUM);
                }
            }
            Stage::Checksum { low } => {
                if let Some(low) = low.replace(first) {
                    if u32::from(u16::from_le_bytes([low, first])) != self.crc.sum() & 0xffff {
                        return Err(Fault::HeaderChecksum);
                    }
                    self.stage = Stage::Complete;
                }
                return Ok(1);
            }
            Stage::Complete => return Ok(0),
        }
        self.crc.update(&input[..count]);
        Ok(count)
    }

    /// The first of the optional parts that is there, from the one of this flag on.
    fn part_from(&self, flag: u8) -> Stage {
        // In the order of the parts; the checksum's flag is lower than its place.
        let wanted = [EXTRA, NAME, COMMENT, CHECKSUM].into_iter().skip_while(|part| *part != flag);
        match wanted.into_iter().find(|part| self.flags & part != 0) {
            Some(EXTRA) => Stage::ExtraLength { low: None },
            Some(NAME) => Stage::Name,
            Some(COMMENT) => Stage::Comment,
            Some(CHECKSUM) => Stage::Checksum { low: None },
            _ => Stage::Complete,
        }
    }
}

/// Refuses a header at the first byte that is wrong.
fn check_fixed(bytes: &[u8]) -> Result<(), Fault> {
    match *bytes {
        [first] if first != MAGIC[0] => Err(Fault::NotGzip),
        [_, second] if second != MAGIC[1] => Err(Fault::NotGzip),
        [_, _, method] if method != METHOD_DEFLATE => Err(Fault::Method(method)),
        [_, _, _, flags] if flags & !KNOWN != 0 => Err(Fault::ReservedFlags(flags & !KNOWN)),
        _ => Ok(()),
    }
}

/// Appends a text up to its zero byte, or skips it: how many bytes were taken, and whether it has
/// ended.
fn take_text(text: &mut Option<Vec<u8>>, keep: bool, input: &[u8]) -> Result<(usize, bool), Fault> {
    let (len, ended) = memchr::memchr(0, input).map_or((input.len(), false), |end| (end, true));
    if keep {
        let text = text.get_or_insert_with(Vec::new);
        if text.len() + len > MAX_KEPT_TEXT {
            return Err(Fault::LongHeader);
        }
        text.extend_from_slice(&input[..len]);
    }
    Ok((len + usize::from(ended), ended))
}
