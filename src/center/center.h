// SPDX-License-Identifier: Apache-2.0
/* The manager: what its domains share. One Center per process (several in one simulator).
 *
 * Domain folders (compute/, storage/, network/, hosts/, ...) meet here and in the inventory, never in each other's
 * headers. Threads: the struct is filled at start and then constant; what a member allows is said in its own header. */
#pragma once
#include "base/loop.h"
#include "http/http.h"
#include "inventory/inventory.h"
#include "task/task.h"

typedef struct Center Center;
typedef struct AuditLog AuditLog;
typedef struct WatchHub WatchHub;
typedef struct HostLinks HostLinks;
typedef struct Tickets Tickets;
typedef struct MonitorHistory MonitorHistory;
typedef struct Turns Turns;
typedef struct Drs Drs;
typedef struct IdentityLogins IdentityLogins;
typedef struct Strangers Strangers;
typedef struct Quotas Quotas;
typedef struct Troubles Troubles;

typedef struct {
  char *data_dir;     /* database, keys, CA: mode 0700 */
  char *database;     /* address or path; NULL: as center/database.h says */
  char *packages_dir; /* packages of the host agent, for machines that are added over SSH; NULL: /usr/share/winsphere/packages */
  char *web_dir;      /* static console files; NULL: none served */
  char *bind_address; /* "0.0.0.0" */
  char **trusted_proxies; /* HttpServerConfig's; NULL: none */
  char **names;       /* extra names and addresses for the server certificate, NULL-ended; may be NULL */
  guint16 port;       /* 0: any free */
  guint session_idle_s, session_max_s;
  /* Failed logins that are borne in login_window_s (auth/login_guard.h): of an account from one address, from
   * one address, of an account from all of them in an hour; and calls without a login that are refused, from
   * one address. 0: 5 in 300 s, 100, 100, 1,000. */
  guint login_failures_max, login_window_s, login_failures_address, login_failures_account, refused_calls_address;
  /* Older audit records, events, ended tasks, migrations go; 0: none does. */
  guint audit_keep_days, event_keep_days, task_keep_days, migration_keep_days;
  gint64 server_cert_life_s, host_cert_life_s; /* of certificates issued from now on; 0: 398 and 365 days */
  /* The simulator: the database is there, no thread is started and no port opened. Whoever starts the manager steps its core loop and
   * its io's (http/local.h) and brings requests to `server`. NULL: no simulator. Borrowed, outlives the Center. */
  const StoreStand *stand;
} CenterConfig;

struct Center {
  CenterConfig config;
  WsClock *clock;
  WsLoop *loop;
  WsWorkers *workers; /* large lists, history queries */
  WsWorkers *passwords; /* argon2 alone */
  Store *store;
  Inventory *inventory;
  TaskEngine *tasks;
  AuditLog *audit;
  WatchHub *watch_hub;
  HostLinks *links;
  Tickets *tickets;
  MonitorHistory *history; /* monitor/history.h; NULL: none is kept */
  Turns *turns;
  GHashTable *dirty_rates; /* compute/move_foresee.c: VM -> how fast its guest was measured to write; NULL:
                              none was */
  GHashTable *moves_begun; /* compute/move_target.c: tasks whose turn has come, and whose records do not say so yet */
  GHashTable *host_versions; /* hosts/versions.c: host -> what it told last; NULL: none yet */
  guint packages_asked;      /* hosts asked for what their package managers did */
  GHashTable *logs_asked; /* compute/run_log.c: host -> how many ask it for a log */
  GHashTable *stale_vms; /* compute/follow.c: ids of VMs to be defined anew on their hosts */
  GHashTable *pools_of_hosts; /* storage/pool_hosts.c */
  GArray *pools_attached; /* the same: hosts that a task is attaching pools to */
  Quotas *quotas; /* center/quota.h */
  Troubles *troubles; /* compute/trouble.h */
  GPtrArray *promises; /* compute/place.c: RoomPromise, of tasks that make VMs */
  GArray *pools_held;  /* storage/room.c: what tasks have found and not recorded yet; NULL: none ever did */
  GHashTable *pools_on_paper; /* storage/room.c: request -> what the members of its dry run before would take;
                                 NULL: no such request */
  GHashTable *firewalls_under_way; /* network/host_firewall.c: ids of hosts that a task is telling theirs */
  Drs *drs; /* cluster/drs.h */
  IdentityLogins *identity; /* auth/identity_login.h */
  Strangers *strangers; /* auth/strangers.h */
  GHashTable *web_files;
  GHashTable *keys_under_way; /* api/idempotency.c: id of a record -> NULL while its call runs, then its answer if that must not be on disk */
  HttpIo *io;
  HttpServer *server;
  gint n_calls; /* API calls that the core loop has; atomic */
  guint n_events; /* told, and not durable yet; core loop */
  WsTimer *sweep_timer, *store_timer, *usage_timer, *follow_timer;
  gint64 started_us; /* wall */
  gint64 backup_tried_us; /* monotonic; a scheduled backup was last started; 0: not yet */
  gint backups_stopped;   /* atomic */
  gint64 tasks_expire_us; /* wall; operate/retention.c looks at ended tasks again; 0: at once */
  bool cleaning; /* operate/leftovers.c is at it */
  GHashTable *bin_tries; /* center/bin.c: what was to be deleted lately -> until when it is left alone; NULL: nothing yet */
  GHashTable *bin_soon; /* the same: what is due within a day -> since when that is seen, monotonic; NULL: nothing yet */
  GHashTable *bin_defined, *bin_listed; /* center/bin_seen.c: uuids that a host has defined, hosts that have told all of theirs; NULL: nobody has */
};

/* Opens the data directory, makes CA, server certificate and first administrator when absent, loads the inventory, resumes tasks and
 * listens. `clock` and `loop` are the caller's. NULL with error. */
Center *center_new(const CenterConfig *config, WsClock *clock, WsLoop *loop, GError **error);
/* Before an orderly end, after the loop has stopped: API calls under way get their answers, for two seconds at most. */
void center_settle(Center *center);
void center_free(Center *center);

/* Records that something happened (history, durable with the next group). Text and parameters as in task_log(). Core loop. */
typedef enum { CENTER_INFO = 1, CENTER_MINOR, CENTER_MAJOR, CENTER_CRITICAL } CenterLevel;
void center_event(Center *center, CenterLevel level, const WsType *type, WsId object, const char *cause, const char *text,
                  ...) G_GNUC_NULL_TERMINATED;
/* The same of something that happened at `time_us` (wall clock of whoever saw it), and is known only now. */
void center_event_at(Center *center, gint64 time_us, CenterLevel level, const WsType *type, WsId object, const char *cause,
                     const char *text, ...) G_GNUC_NULL_TERMINATED;

/* Opens (or keeps) / closes the alarm `kind` on an object; sets the object's `health`. Idempotent. Core loop, in a coroutine. */
void center_alarm_open(Center *center, CenterLevel level, const WsType *type, WsId object, const char *kind);
/* The same in a transaction of the caller's, for an alarm that nobody has opened yet. */
void center_alarm_add(Center *center, InvTxn *txn, CenterLevel level, const WsType *type, WsId object, const char *kind);
bool center_alarm_is_open(Center *center, const WsType *type, WsId object, const char *kind);
void center_alarm_close(Center *center, const WsType *type, WsId object, const char *kind);
/* Drops the alarms of objects that are gone. Core loop, in a coroutine. */
void center_alarms_close_orphans(Center *center);
