"""Braintree's XML: the notice in a delivery, and the notice that an object of its API is made into."""

from typing import Any
from xml.etree import ElementTree as ET

from webhooks.processors.base import Object
from webhooks.processors.events import Unusable

MAX_DEPTH = 64


class _Builder(ET.TreeBuilder):
    def doctype(self, *_: object) -> None:
        raise ValueError("a document type declaration")


def read(xml: bytes) -> Object:
    """The notice in the XML: elements as keys of objects, with `_` for `-` as the official library has them.

    An element is a text, a list where its type is array, or an object. One that is there twice becomes a list, so that
    no reader mistakes it for a single one. Raises Unusable for XML that is not well-formed UTF-8, a document
    type declaration (and with it every entity), text beside elements, and nesting beyond reason.
    """
    parser = ET.XMLParser(target=_Builder(), encoding="utf-8")  # noqa: S314 -- without a doctype there are no entities
    try:
        parser.feed(xml.decode())
        root = parser.close()
        notice = _value(root, 1) if root.tag == "notification" else None
    except (ET.ParseError, ValueError) as error:
        raise Unusable(f"unparsable: {str(error)[:100]}") from None
    if not isinstance(notice, dict):
        raise Unusable("unparsable: not a notification")
    return notice


def _value(element: ET.Element, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    texts = [element.text, *(child.tail for child in element)]
    has_text = any(text and text.strip() for text in texts)
    is_list = element.get("type") == "array"
    if not len(element) and not is_list:
        return element.text if has_text else None
    if has_text:
        raise ValueError("text beside elements")
    if is_list:
        return [_value(child, depth + 1) for child in element]
    groups: dict[str, list[Any]] = {}
    for child in element:
        groups.setdefault(child.tag.replace("-", "_"), []).append(_value(child, depth + 1))
    return {key: values[0] if len(values) == 1 else values for key, values in groups.items()}


def written(notice: Object) -> bytes:
    """The notice as XML, made by the official library."""
    from braintree.util.xml_util import XmlUtil

    xml: str = XmlUtil.xml_from_dict(_dashed({"notification": notice}))
    return xml.encode()


def _dashed(value: Any) -> Any:
    if isinstance(value, list):
        return [_dashed(each) for each in value]
    return {key.replace("_", "-"): _dashed(each) for key, each in value.items()} if isinstance(value, dict) else value
