// SPDX-License-Identifier: Apache-2.0
/* XML in few words: libxml2's writer and tree behind what domain XML needs. Inside of src/host/hypervisor.
 *
 * Writing: everything is escaped by libxml2; characters that XML 1.0 cannot hold become U+FFFD, so no text a person chose
 * can break a document. Reading: no network, no external entities, no DTD; attribute and text values are borrowed from
 * the tree. Threads: one document, one thread. */
#pragma once
#include <glib.h>
#include <libxml/tree.h>
#include <libxml/xmlwriter.h>
#include <stdbool.h>

#define VIRT_XML_MAX_BYTES (1024 * 1024)

/* ---- writing ---- */
typedef struct {
  xmlBuffer *buffer;
  xmlTextWriter *writer;
} VirtXml;

VirtXml *virt_xml_new(void);
void virt_xml_free(VirtXml *xml);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtXml, virt_xml_free)
char *virt_xml_finish(VirtXml *xml); /* closes what is open; the text, owned by the caller */

void virt_xml_open(VirtXml *xml, const char *element);
void virt_xml_close(VirtXml *xml);
/* An attribute of the element just opened; NULL value: none is written. */
void virt_xml_attr(VirtXml *xml, const char *name, const char *value);
void virt_xml_attr_int(VirtXml *xml, const char *name, gint64 value);
/* <element>text</element>; NULL text: nothing. */
void virt_xml_text(VirtXml *xml, const char *element, const char *text);
void virt_xml_text_int(VirtXml *xml, const char *element, gint64 value);
/* <element name='value' .../> with pairs ended by NULL; a NULL value skips its pair. */
void virt_xml_leaf(VirtXml *xml, const char *element, ...) G_GNUC_NULL_TERMINATED;

/* ---- reading ---- */
/* NULL with WS_ERROR_BAD_VALUE (field "xml") when it is no well-formed document, has a DTD or is too long. */
xmlDoc *virt_xml_parse(const char *text, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

bool virt_xml_is(const xmlNode *node, const char *element);
/* First child element of that name ("a/b": of a child, and so on), or NULL. node NULL: NULL. */
xmlNode *virt_xml_child(const xmlNode *node, const char *path);
xmlNode *virt_xml_first(const xmlNode *node);  /* first child element */
xmlNode *virt_xml_next(const xmlNode *node);   /* next sibling element */
/* Borrowed; NULL when absent. virt_xml_path_get(node, "source", "file") is the attribute of a child. */
const char *virt_xml_get(const xmlNode *node, const char *attr);
const char *virt_xml_path_get(const xmlNode *node, const char *path, const char *attr);
const char *virt_xml_path_text(const xmlNode *node, const char *path); /* "" for an empty element */
/* Whole decimal number, or `absent`. */
gint64 virt_xml_int(const char *text, gint64 absent);
