"""What a coloured picture says of itself: that its colours are invented, by what, and how.

Invented colours must not pass for true ones. Each picture says so in words (a comment) and in
fields that programs read, an XMP packet of

    Iptc4xmpExt:DigitalSourceType  compositeWithTrainedAlgorithmicMedia of IPTC's NewsCodes, "Edited
                                   using Generative AI": the light is the photo's, the colours come
                                   from a model that was trained on samples
    Iptc4xmpExt:AISystemUsed, AISystemVersionUsed  (IPTC Photo Metadata 2025.1)
    xmp:CreatorTool, photoshop:Instructions        (IPTC's place for what a receiver should heed)
    xmpMM:History                                  what was done, as C2PA's actions say it

without any time, so that the same photo gives the same bytes. It is not signed: C2PA's signed
manifests need a certificate in the name of whoever answers for the picture.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version
from typing import Any
from xml.sax.saxutils import escape

from pipelines.errors import ColorizerError
from pipelines.machine_made import REMARK, SOURCE_TYPE_END

NAME = "photo-colorizer"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <xmp:CreatorTool>{software}</xmp:CreatorTool>
   <photoshop:Instructions>{remark}</photoshop:Instructions>
   <Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>
   <Iptc4xmpExt:AISystemUsed>{system}</Iptc4xmpExt:AISystemUsed>
   <Iptc4xmpExt:AISystemVersionUsed>{version}</Iptc4xmpExt:AISystemVersionUsed>
   <xmpMM:History>
    <rdf:Seq>
     <rdf:li rdf:parseType="Resource">
      <stEvt:action>edited</stEvt:action>
      <stEvt:changed>/content</stEvt:changed>
      <stEvt:softwareAgent>{software}</stEvt:softwareAgent>
      <stEvt:parameters>{parameters}</stEvt:parameters>
     </rdf:li>
    </rdf:Seq>
   </xmpMM:History>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""

# The signature, 8 bytes, and IHDR's length, name, content and checksum.
PNG_HEADER_BYTES = 8 + 4 + 4 + 13 + 4


@dataclass(frozen=True)
class Provenance:
    """Where the colours of a picture come from.

    Attributes:
        network: its name, "lite"; None where it is not known.
        sha256: of the file with its weights (the shipped weights.npz, a run's model.keras; an
            export names what it was made from); None where it is not known.
        settings: how it was asked, in words: {"style": "vivid", "saturation": "1.4"}.
    """

    network: str | None = None
    sha256: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def with_settings(self, **settings: str) -> "Provenance":
        """Gives the same with further settings, or others of those."""
        return replace(self, settings={**self.settings, **settings})

    @property
    def parameters(self) -> str:
        """In one line: "colorized: network lite, weights SHA-256 1f2c..., style vivid"."""
        told = [f"network {self.network}"] if self.network else []
        told += [f"weights SHA-256 {self.sha256}"] if self.sha256 else []
        told += [f"{name} {value}" for name, value in self.settings.items()]
        return _printable(f"colorized: {', '.join(told) or 'network not known'}")

    @property
    def remark(self) -> str:
        """What it says to people, one line of ASCII; for films and other containers as well."""
        line = f"{REMARK} {software()}, {self.parameters}"
        return line.encode("ascii", "backslashreplace").decode()

    def as_json(self) -> dict[str, Any]:
        """What `of_json` reads."""
        return asdict(self)

    @classmethod
    def of_json(cls, stated: Any, name: str) -> "Provenance":
        """Reads what an export says; nothing stated is nothing known.

        Raises:
            ColorizerError: it is something else; `name` says where.
        """
        if stated is None:
            return cls()
        if isinstance(stated, dict) and stated.keys() <= {"network", "sha256", "settings"}:
            network, sha256 = stated.get("network"), stated.get("sha256")
            settings = stated.get("settings", {})
            texts = [text for text in (network, sha256) if text is not None]
            if isinstance(settings, dict):
                texts += settings.values()
                if all(isinstance(text, str) for text in texts):
                    return cls(network, sha256, settings)
        raise ColorizerError(f"{name}: does not say where its colours come from as an export does")


@lru_cache(maxsize=1)
def software() -> str:
    """This package's name and version."""
    return f"{NAME} {version(NAME)}"


def xmp_packet(provenance: Provenance) -> bytes:
    """The XMP packet (ISO 16684-1) of a picture with such colours, UTF-8."""
    system = f"{NAME}, {provenance.parameters.removeprefix('colorized: ')}"
    packet = _PACKET.format(
        software=escape(software()),
        remark=escape(REMARK),
        source_type=SOURCE_TYPE,
        system=escape(system),
        version=escape(version(NAME)),
        parameters=escape(provenance.parameters),
    )
    return packet.encode()


def png_chunks(provenance: Provenance) -> list[tuple[bytes, bytes]]:
    """Types and contents of the PNG chunks that say so: Software, Comment, XMP."""
    # Keyword, null, whether compressed and how, no language, no translated keyword.
    xmp = b"XML:com.adobe.xmp\0" + b"\0\0" + b"\0" + b"\0" + xmp_packet(provenance)
    return [
        (b"tEXt", b"Software\0" + software().encode("ascii", "backslashreplace")),
        (b"tEXt", b"Comment\0" + provenance.remark.encode("ascii")),
        (b"iTXt", xmp),
    ]


def encoded_png_chunks(provenance: Provenance) -> bytes:
    """The same as bytes of a PNG file, to stand right behind its IHDR."""
    chunks = []
    for kind, content in png_chunks(provenance):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        chunks.append(struct.pack(">I", len(content)) + kind + content + checksum)
    return b"".join(chunks)


def marked_png(png: bytes, provenance: Provenance) -> bytes:
    """Has a PNG file say so; one that does already stays as it is."""
    if SOURCE_TYPE_END in png[: png.find(b"IDAT")]:
        return png
    head, rest = png[:PNG_HEADER_BYTES], png[PNG_HEADER_BYTES:]
    return head + encoded_png_chunks(provenance) + rest


def _printable(text: str) -> str:
    """XML knows no control characters, and a network may have any name."""
    return "".join(character if character.isprintable() else "?" for character in text)
