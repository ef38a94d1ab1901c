// SPDX-License-Identifier: Apache-2.0
/* XML in few words; see xml.h. */
#include "host/hypervisor/xml.h"
#include "base/error.h"
#include <libxml/parser.h>
#include <stdarg.h>
#include <string.h>

VirtXml *virt_xml_new(void)
{
  VirtXml *xml = g_new0(VirtXml, 1);
  xml->buffer = xmlBufferCreate();
  xml->writer = xmlNewTextWriterMemory(xml->buffer, 0);
  xmlTextWriterSetIndent(xml->writer, 1);
  xmlTextWriterSetIndentString(xml->writer, BAD_CAST "  ");
  return xml;
}

void virt_xml_free(VirtXml *xml)
{
  if (!xml)
    return;
  xmlFreeTextWriter(xml->writer);
  xmlBufferFree(xml->buffer);
  g_free(xml);
}

char *virt_xml_finish(VirtXml *xml)
{
  xmlTextWriterEndDocument(xml->writer);
  xmlTextWriterFlush(xml->writer);
  return g_strdup((const char *)xmlBufferContent(xml->buffer));
}

/* Whether XML 1.0 can hold the character (production Char). */
static bool is_xml_char(gunichar c)
{
  return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0xd7ff) || (c >= 0xe000 && c <= 0xfffd) ||
         (c >= 0x10000 && c <= 0x10ffff);
}

/* A copy without what XML cannot hold. */
static char *clean(const char *text)
{
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  GString *out = g_string_sized_new(strlen(valid));
  for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
    gunichar c = g_utf8_get_char(at);
    g_string_append_unichar(out, is_xml_char(c) ? c : 0xfffd);
  }
  return g_string_free(out, FALSE);
}

void virt_xml_open(VirtXml *xml, const char *element)
{
  xmlTextWriterStartElement(xml->writer, BAD_CAST element);
}

void virt_xml_close(VirtXml *xml)
{
  xmlTextWriterEndElement(xml->writer);
}

void virt_xml_attr(VirtXml *xml, const char *name, const char *value)
{
  if (!value)
    return;
  g_autofree char *safe = clean(value);
  xmlTextWriterWriteAttribute(xml->writer, BAD_CAST name, BAD_CAST safe);
}

void virt_xml_attr_int(VirtXml *xml, const char *name, gint64 value)
{
  char text[32];
  g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, value);
  xmlTextWriterWriteAttribute(xml->writer, BAD_CAST name, BAD_CAST text);
}

void virt_xml_text(VirtXml *xml, const char *element, const char *text)
{
  if (!text)
    return;
  g_autofree char *safe = clean(text);
  xmlTextWriterWriteElement(xml->writer, BAD_CAST element, BAD_CAST safe);
}

void virt_xml_text_int(VirtXml *xml, const char *element, gint64 value)
{
  char text[32];
  g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, value);
  xmlTextWriterWriteElement(xml->writer, BAD_CAST element, BAD_CAST text);
}

void virt_xml_leaf(VirtXml *xml, const char *element, ...)
{
  virt_xml_open(xml, element);
  va_list pairs;
  va_start(pairs, element);
  for (const char *name; (name = va_arg(pairs, const char *));)
    virt_xml_attr(xml, name, va_arg(pairs, const char *));
  va_end(pairs);
  virt_xml_close(xml);
}

xmlDoc *virt_xml_parse(const char *text, GError **error)
{
  gsize n = strlen(text);
  if (n > VIRT_XML_MAX_BYTES) {
    ws_fail(error, WS_ERROR_BAD_VALUE, "field", "xml", "expected", "at most 1 MiB", NULL);
    return NULL;
  }
  xmlDoc *doc = xmlReadMemory(text, (int)n, NULL, NULL,
                              XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS |
                                XML_PARSE_NOCDATA);
  if (doc && xmlDocGetRootElement(doc) && !doc->intSubset)
    return doc;
  xmlFreeDoc(doc);
  ws_fail(error, WS_ERROR_BAD_VALUE, "field", "xml", "expected", "an XML document without a DTD", NULL);
  return NULL;
}

bool virt_xml_is(const xmlNode *node, const char *element)
{
  return node && node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, element) == 0;
}

xmlNode *virt_xml_first(const xmlNode *node)
{
  xmlNode *child = node ? node->children : NULL;
  return child && child->type != XML_ELEMENT_NODE ? virt_xml_next(child) : child;
}

xmlNode *virt_xml_next(const xmlNode *node)
{
  xmlNode *next = node->next;
  while (next && next->type != XML_ELEMENT_NODE)
    next = next->next;
  return next;
}

xmlNode *virt_xml_child(const xmlNode *node, const char *path)
{
  const char *slash = strchr(path, '/');
  gsize n = slash ? (gsize)(slash - path) : strlen(path);
  for (xmlNode *child = virt_xml_first(node); child; child = virt_xml_next(child))
    if (strncmp((const char *)child->name, path, n) == 0 && !child->name[n])
      return slash ? virt_xml_child(child, slash + 1) : child;
  return NULL;
}

/* The one text below an attribute or element. Entity references that a document brings itself are not followed. */
static const char *only_text(const xmlNode *first)
{
  if (!first)
    return "";
  if (first->next || (first->type != XML_TEXT_NODE && first->type != XML_CDATA_SECTION_NODE))
    return NULL;
  return first->content ? (const char *)first->content : "";
}

const char *virt_xml_get(const xmlNode *node, const char *attr)
{
  for (const xmlAttr *a = node ? node->properties : NULL; a; a = a->next)
    if (strcmp((const char *)a->name, attr) == 0)
      return only_text(a->children);
  return NULL;
}

const char *virt_xml_path_get(const xmlNode *node, const char *path, const char *attr)
{
  return virt_xml_get(virt_xml_child(node, path), attr);
}

const char *virt_xml_path_text(const xmlNode *node, const char *path)
{
  const xmlNode *child = virt_xml_child(node, path);
  return child ? only_text(child->children) : NULL;
}

gint64 virt_xml_int(const char *text, gint64 absent)
{
  gint64 value;
  return text && g_ascii_string_to_signed(text, 10, G_MININT64 + 1, G_MAXINT64, &value, NULL) ? value : absent;
}
