// SPDX-License-Identifier: Apache-2.0
/* Reading Ganeti's text format. See ganeti.h; the format is described in htools(1) and by what hscan writes. */
#include "winplan/ganeti.h"
#include "base/error.h"
#include <math.h>
#include <string.h>

#define NUMBER_MAX 1e12 /* sums of all fit into 63 bits */
#define HOSTS_MAX  100000
#define VMS_MAX    4000000

typedef enum { S_GROUPS, S_NODES, S_INSTANCES, S_TAGS, S_POLICIES, N_SECTIONS } Section;

typedef struct {
  const char *name;
  guint line;
  Section section;
  GHashTable *groups, *hosts, *tags;   /* name -> number + 1 */
  GPtrArray *host_names, *vm_names;
  GArray *rows_hosts, *rows_vms, *tag_list; /* PlanBalanceHost, PlanBalanceVm, guint32 */
  GHashTable *vms;
  GPtrArray *exclusion;                /* prefixes of tags that keep apart */
  GPtrArray *vm_tags;                  /* [vm]: text of its tags */
  double vcpu_ratio, spindle_ratio;
} Reader;

static bool refuse(const Reader *r, const char *expected, GError **error)
{
  g_autofree char *field = g_strdup_printf("%s:%u", r->name, r->line);
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", expected, NULL);
}

static bool take_number(const Reader *r, const char *text, double *value, GError **error)
{
  char *end;
  *value = g_ascii_strtod(text, &end);
  return (end != text && !*end && isfinite(*value) && *value >= 0 && *value <= NUMBER_MAX) || refuse(r, "a number that is not negative", error);
}

static bool take_name(const Reader *r, GHashTable *names, const char *name, const char *expected, guint32 *number, GError **error)
{
  gpointer found = g_hash_table_lookup(names, name);
  if (!found)
    return refuse(r, expected, error);
  *number = GPOINTER_TO_UINT(found) - 1;
  return true;
}

static bool add_name(const Reader *r, GHashTable *names, const char *name, GError **error)
{
  if (!*name || g_hash_table_contains(names, name))
    return refuse(r, "a name that is not there yet", error);
  g_hash_table_insert(names, g_strdup(name), GUINT_TO_POINTER(g_hash_table_size(names) + 1));
  return true;
}

/* name|uuid|policy|tags|networks */
static bool read_group(Reader *r, char **f, guint n, GError **error)
{
  return n >= 3 ? add_name(r, r->groups, f[1], error) : refuse(r, "name|uuid|policy|tags", error);
}

/* name|memory|of the node|free|disk|free|cpus|offline|group|spindles|tags|exclusive|free spindles|node cpus|speed */
static bool read_node(Reader *r, char **f, guint n, GError **error)
{
  if (n < 9)
    return refuse(r, "name|memory|node memory|free|disk|free|cpus|offline|group", error);
  if (r->rows_hosts->len == HOSTS_MAX)
    return refuse(r, "fewer nodes", error);
  PlanBalanceHost host = {.in_service = strcmp(f[7], "Y") != 0};
  if (!add_name(r, r->hosts, f[0], error) || !take_name(r, r->groups, f[8], "the uuid of a group above", &host.set, error))
    return false;
  for (guint k = 1; k <= 6; k++)
    host.in_service = host.in_service && strcmp(f[k], "?") != 0;
  double v[6] = {0}, spindles = 1, speed = 1;
  for (guint k = 0; host.in_service && k < 6; k++)
    if (!take_number(r, f[k + 1], &v[k], error))
      return false;
  if ((n > 9 && !take_number(r, f[9], &spindles, error)) || (n > 14 && *f[14] && !take_number(r, f[14], &speed, error)))
    return false;
  host.memory = (gint64)v[0];
  host.memory_free = (gint64)v[2];
  host.disk = (gint64)v[3];
  host.disk_free = (gint64)v[4];
  host.cpus = v[5] * speed;
  host.spindles = spindles;
  g_array_append_val(r->rows_hosts, host);
  g_ptr_array_add(r->host_names, g_strdup(f[0]));
  return true;
}

static PlanDisks disks_of(const char *template)
{
  if (strcmp(template, "drbd") == 0 || strcmp(template, "drbd8") == 0)
    return PLAN_DISKS_MIRRORED;
  static const char *const shared[] = {"sharedfile", "rbd", "ext", "blockdev", "gluster", "diskless"};
  for (guint k = 0; k < G_N_ELEMENTS(shared); k++)
    if (strcmp(template, shared[k]) == 0)
      return PLAN_DISKS_SHARED;
  return PLAN_DISKS_FIXED;
}

static bool status_runs(const char *status)
{
  return strstr(status, "running") || strcmp(status, "ERROR_up") == 0 || strcmp(status, "ERROR_nodeoffline") == 0;
}

/* name|memory|disk|vcpus|status|balanced|node|second|template|tags|spindles */
static bool read_instance(Reader *r, char **f, guint n, GError **error)
{
  double memory, disk, vcpus, spindles = 1;
  if (n < 10)
    return refuse(r, "name|memory|disk|vcpus|status|auto_balance|node|second|template|tags", error);
  if (r->rows_vms->len == VMS_MAX)
    return refuse(r, "fewer instances", error);
  PlanBalanceVm vm = {.second = PLAN_NO_HOST, .load = {1, 1, 1, 1}, .runs = status_runs(f[4]), .disks = disks_of(f[8])};
  if (!add_name(r, r->vms, f[0], error) || !take_number(r, f[1], &memory, error) || !take_number(r, f[2], &disk, error) ||
      !take_number(r, f[3], &vcpus, error) || !take_name(r, r->hosts, f[6], "the name of a node above", &vm.host, error) ||
      (*f[7] && !take_name(r, r->hosts, f[7], "the name of a node above", &vm.second, error)) ||
      (n > 10 && !take_number(r, f[10], &spindles, error)))
    return false;
  if (strcmp(f[5], "Y") != 0 && strcmp(f[5], "N") != 0)
    return refuse(r, "Y or N", error);
  if (vm.second == vm.host)
    return refuse(r, "another node as second", error);
  if (vcpus > G_MAXUINT16)
    return refuse(r, "fewer vCPUs", error);
  vm.memory = (gint64)memory;
  vm.disk = (gint64)disk;
  vm.vcpus = (guint32)vcpus;
  vm.spindles = spindles;
  vm.is_reserved_for = f[5][0] == 'Y';
  g_array_append_val(r->rows_vms, vm);
  g_ptr_array_add(r->vm_names, g_strdup(f[0]));
  g_ptr_array_add(r->vm_tags, g_strdup(f[9]));
  return true;
}

/* owner|std|min;max|templates|vcpu ratio|spindle ratio (before 2.8: min|max): the cluster's own (no owner) sets the ratios. */
static bool read_policy(Reader *r, char **f, guint n, GError **error)
{
  if (n < 6)
    return refuse(r, "owner|std|min;max|templates|vcpu_ratio|spindle_ratio", error);
  double vcpus, spindles;
  if (!take_number(r, f[n - 2], &vcpus, error) || !take_number(r, f[n - 1], &spindles, error))
    return false;
  if (!*f[0]) {
    r->vcpu_ratio = vcpus;
    r->spindle_ratio = spindles;
  }
  return true;
}

static bool read_line(Reader *r, char *line, GError **error)
{
  static bool (*const readers[])(Reader *, char **, guint, GError **) = {
      [S_GROUPS] = read_group, [S_NODES] = read_node, [S_INSTANCES] = read_instance, [S_POLICIES] = read_policy};
  if (r->section == S_TAGS) {
    if (g_str_has_prefix(line, "htools:iextags:") && line[15])
      g_ptr_array_add(r->exclusion, g_strdup(line + 15));
    return true;
  }
  g_auto(GStrv) fields = g_strsplit(line, "|", 32);
  return readers[r->section](r, fields, g_strv_length(fields), error);
}

static bool read_lines(Reader *r, const char *text, gsize n, GError **error)
{
  g_autofree char *copy = g_strndup(text, n);
  if (strlen(copy) != n || !g_utf8_validate(copy, (gssize)n, NULL)) {
    r->line = 1;
    return refuse(r, "a text", error);
  }
  for (char *line = copy, *next; line; line = next) {
    next = strchr(line, '\n');
    if (next)
      *next++ = 0;
    else if (!*line)
      break;
    r->line++;
    gsize length = strlen(line);
    if (length && line[length - 1] == '\r')
      line[--length] = 0;
    if (!length) {
      if (++r->section == N_SECTIONS)
        break; /* hbal does not look further either */
    } else if (!read_line(r, line, error)) {
      return false;
    }
  }
  return r->section >= S_INSTANCES || refuse(r, "groups, nodes, instances and tags, with an empty line behind each", error);
}

/* Tags that keep VMs apart, as numbers. */
static void number_tags(Reader *r)
{
  for (guint32 v = 0; v < r->rows_vms->len; v++) {
    PlanBalanceVm *vm = &g_array_index(r->rows_vms, PlanBalanceVm, v);
    g_auto(GStrv) tags = g_strsplit(r->vm_tags->pdata[v], ",", -1);
    vm->tags_start = r->tag_list->len;
    for (char **tag = tags; *tag; tag++)
      for (guint k = 0; k < r->exclusion->len; k++) {
        gsize length = strlen(r->exclusion->pdata[k]);
        if (strncmp(*tag, r->exclusion->pdata[k], length) != 0 || (*tag)[length] != ':')
          continue;
        guint32 number = GPOINTER_TO_UINT(g_hash_table_lookup(r->tags, *tag));
        if (!number)
          g_hash_table_insert(r->tags, g_strdup(*tag), GUINT_TO_POINTER(number = g_hash_table_size(r->tags) + 1));
        number--;
        g_array_append_val(r->tag_list, number);
        vm->n_tags++;
        break;
      }
  }
}

static Ganeti *take_over(Reader *r)
{
  Ganeti *g = g_new0(Ganeti, 1);
  PlanCluster *c = &g->cluster;
  c->n_hosts = r->rows_hosts->len;
  c->n_vms = r->rows_vms->len;
  c->n_tags = g_hash_table_size(r->tags);
  c->vcpu_ratio = r->vcpu_ratio;
  c->hosts = (PlanBalanceHost *)(void *)g_array_free(g_steal_pointer(&r->rows_hosts), FALSE);
  c->vms = (PlanBalanceVm *)(void *)g_array_free(g_steal_pointer(&r->rows_vms), FALSE);
  c->tags = (guint32 *)(void *)g_array_free(g_steal_pointer(&r->tag_list), FALSE);
  for (guint32 h = 0; h < c->n_hosts; h++)
    c->hosts[h].spindles *= r->spindle_ratio;
  g_ptr_array_add(r->host_names, NULL);
  g_ptr_array_add(r->vm_names, NULL);
  g->host_names = (char **)g_ptr_array_free(g_steal_pointer(&r->host_names), FALSE);
  g->vm_names = (char **)g_ptr_array_free(g_steal_pointer(&r->vm_names), FALSE);
  return g;
}

Ganeti *ganeti_read(const char *name, const char *text, gsize n, GError **error)
{
  Reader r = {.name = name, .vcpu_ratio = 64, .spindle_ratio = 32};
  GHashTable **tables[] = {&r.groups, &r.hosts, &r.tags, &r.vms};
  for (guint k = 0; k < G_N_ELEMENTS(tables); k++)
    *tables[k] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  GPtrArray **lists[] = {&r.host_names, &r.vm_names, &r.exclusion, &r.vm_tags};
  for (guint k = 0; k < G_N_ELEMENTS(lists); k++)
    *lists[k] = g_ptr_array_new_with_free_func(g_free);
  r.rows_hosts = g_array_new(FALSE, TRUE, sizeof(PlanBalanceHost));
  r.rows_vms = g_array_new(FALSE, TRUE, sizeof(PlanBalanceVm));
  r.tag_list = g_array_new(FALSE, TRUE, sizeof(guint32));
  Ganeti *ganeti = NULL;
  if (read_lines(&r, text, n, error)) {
    number_tags(&r);
    ganeti = take_over(&r);
  }
  for (guint k = 0; k < G_N_ELEMENTS(tables); k++)
    g_hash_table_unref(*tables[k]);
  for (guint k = 0; k < G_N_ELEMENTS(lists); k++)
    g_clear_pointer(lists[k], g_ptr_array_unref);
  GArray *arrays[] = {r.rows_hosts, r.rows_vms, r.tag_list};
  for (guint k = 0; k < G_N_ELEMENTS(arrays); k++)
    g_clear_pointer(&arrays[k], g_array_unref);
  return ganeti;
}

bool ganeti_read_use(Ganeti *g, const char *name, const char *text, gsize n, GError **error)
{
  Reader r = {.name = name};
  g_autoptr(GHashTable) vms = g_hash_table_new(g_str_hash, g_str_equal);
  for (guint32 v = 0; v < g->cluster.n_vms; v++)
    g_hash_table_insert(vms, g->vm_names[v], GUINT_TO_POINTER(v + 1));
  g_autofree char *copy = g_strndup(text, n);
  g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
  for (char **line = lines; *line; line++) {
    r.line++;
    if (!*g_strstrip(*line))
      continue;
    char *fields[6] = {0};
    guint count = 0;
    for (char *rest = *line, *word; count < 6 && (word = strsep(&rest, " \t"));)
      if (*word)
        fields[count++] = word;
    guint32 vm = 0;
    if (count != 5)
      return refuse(&r, "name cpu memory disk net", error);
    if (!take_name(&r, vms, fields[0], "the name of an instance", &vm, error))
      return false;
    for (guint k = 0; k < PLAN_N_LOADS; k++)
      if (!take_number(&r, fields[k + 1], &g->cluster.vms[vm].load[k], error))
        return false;
  }
  return true;
}

void ganeti_free(Ganeti *g)
{
  if (!g)
    return;
  g_strfreev(g->host_names);
  g_strfreev(g->vm_names);
  g_free(g->cluster.hosts);
  g_free(g->cluster.vms);
  g_free(g->cluster.tags);
  g_free(g);
}
