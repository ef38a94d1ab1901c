// SPDX-License-Identifier: Apache-2.0
/* A VM as data: the typed spec of the manager, libvirt's domain XML, and the way between them. Inside of src/host/hypervisor.
 *
 *     spec --virt_spec_fill()--> spec with every choice made --virt_domain_xml()--> domain XML
 *                                        ^------------------virt_domain_parse()--------'
 *
 * What libvirt has no word for (ids of volumes and port groups, reservations, the guest's family) rides in the domain's
 * <metadata>, so that a filled spec survives the way there and back unchanged; tests/golden/domain shows every shape.
 * Devices are told apart by alias "ua-<key>", which libvirt keeps for ever; devices without a key (balloon, video, ...) have
 * "ua-_<name>".
 *
 * All functions are pure: no libvirt, no files but through VirtHost. Threads: any. */
#pragma once
#include "host/hypervisor/xml.h"
#include "model/model.h"

/* What XML building and reading know of this host. */
typedef struct VirtHost {
  WsVmSpecArchitecture native; /* of the host's CPUs */
  bool kvm;                    /* guests of that architecture run on hardware */
  const char *seed_dir;        /* cloud-init seed CDs: seed_dir/<uuid>.iso */
  const char *serial_log_dir;  /* what serial ports say: serial_log_dir/<uuid>.log; NULL: not kept */
  /* Path of `file` in a pool's directory, owned by the caller; NULL with an error. */
  char *(*pool_file)(void *arg, WsId pool, const char *file, GError **error);
  /* Pool and plain file name of a path, when it lies directly in a pool's directory. */
  bool (*find_pool)(void *arg, const char *path, WsId *pool, char **file);
  void *arg;
} VirtHost;

/* cgroup weights of WsVmCpu.shares (the kernel's default is 100), and the period that CPU ceilings are counted in. */
enum { VIRT_WEIGHT_LOW = 50, VIRT_WEIGHT_NORMAL = 100, VIRT_WEIGHT_HIGH = 200, VIRT_CPU_PERIOD_US = 100000 };

/* A floor is a weight: a processor that is reserved weighs ten times a VM that reserved none, so that these together leave it what is its own.
 * (cpu.weight of cgroup v2 ends at 10,000.) */
enum { VIRT_WEIGHT_RESERVED = 10, VIRT_WEIGHT_MAX = 10000 };
/* Of all its vCPUs together: its share, and what it has reserved. */
int virt_cpu_weight(const WsVmCpu *cpu);

/* ---- architectures (arch.c) ---- */
typedef struct {
  WsVmSpecArchitecture id;
  const char *name;            /* libvirt's and ours */
  const char *machine;         /* default machine type */
  WsVmSpecFirmware firmware;   /* default */
  bool uefi, secure_boot;      /* what firmware there is besides the machine's own */
  bool acpi, apic, pc_timers;
  bool ccw;                    /* channel I/O: no PCI, no USB */
  bool ps2;                    /* has a keyboard and a mouse without USB */
  const char *tcg_cpu;         /* CPU without KVM: a model, "maximum" for libvirt's mode, NULL: the emulator's default */
  WsVmSpecVideo video;
  const char *serial_target, *serial_model; /* NULL target: none is named */
  const char *panic;           /* model; NULL: has none */
  bool panic_always;           /* part of the machine */
  const char *tpm;             /* model; NULL: has none */
  const char *watchdog;        /* model */
} VirtArch;

const VirtArch *virt_arch(WsVmSpecArchitecture id);
const VirtArch *virt_arch_find(const char *name); /* NULL: not one of ours */
/* Whether devices of the machine sit on PCI Express (and need a root port each). */
bool virt_arch_is_pcie(const VirtArch *arch, const char *machine);
/* Whether the guest is expected to have virtio drivers. */
bool virt_spec_has_virtio(const WsVmSpec *spec);

/* ---- the spec (spec.c) ---- */
/* Fills in whatever is absent; afterwards no enum is 0, and what means the same is written the same way. */
void virt_spec_fill(WsVmSpec *spec, const VirtHost *host);
/* Whether a filled spec can be built: WS_ERROR_BAD_VALUE (field, expected) or WS_ERROR_UNSUPPORTED (field, what). */
bool virt_spec_check(const WsVmSpec *spec, GError **error);
/* Alias of a device: "ua-" and its key. Owned by the caller. */
char *virt_alias(const char *key);
/* Paths of fields in which two filled specs differ, for "waits for a restart": "memory_bytes", "disks[disk-0].cache",
 * "nics[nic-1]" (on one side only). Names, notes, ids and autostart never wait. Strings owned by the array. */
GPtrArray *virt_spec_diff(const WsVmSpec *live, const WsVmSpec *next);

/* ---- places (places.c): what an earlier definition settled and a new one must keep, or the guest's devices would move ---- */
typedef struct VirtPlaces VirtPlaces;
/* From a domain's XML; NULL or unreadable text: empty places. */
VirtPlaces *virt_places_new(const char *xml);
void virt_places_free(VirtPlaces *places);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtPlaces, virt_places_free)
/* All of these take NULL for no places at all. */
const char *virt_places_domain_name(const VirtPlaces *places);            /* NULL: there was none */
const char *virt_places_machine(const VirtPlaces *places);                /* NULL: there was none */
const char *virt_places_dev(const VirtPlaces *places, const char *alias); /* <target dev=>, or NULL */
const char *virt_places_port_id(const VirtPlaces *places, const char *alias); /* of a NIC's switch port, or NULL */
/* Writes the <address> that the device had, if it had one and was of the same kind: bus of a disk, model of a NIC or of
 * video, NULL for any other. false: nothing was written. */
bool virt_places_write_address(const VirtPlaces *places, VirtXml *xml, const char *alias, const char *kind);
/* Alias of a device of a running guest: ours by its key, else that of the disk with target `dev` or the NIC with address `mac` (either
 * may be NULL). Borrowed; NULL: there is none. */
const char *virt_places_alias(const VirtPlaces *places, const char *key, const char *dev, const char *mac);
/* Writes the PCI controllers as they were, and as many more root ports as are missing to `root_ports`. */
void virt_places_write_pci(const VirtPlaces *places, VirtXml *xml, guint root_ports);

/* ---- building (domain_xml.c, device_xml.c) ---- */
/* `spec` is filled and checked. places may be NULL. The text is the caller's. NULL: a pool cannot be resolved. */
char *virt_domain_xml(const WsVmSpec *spec, const VirtHost *host, const VirtPlaces *places, GError **error);

/* One device alone, for hot-plug: the disk, CD or NIC with this key. `places` are those of the persistent definition, which
 * has the device already; with_address false leaves its place to libvirt. */
char *virt_device_xml(const WsVmSpec *spec, const char *key, const VirtHost *host, const VirtPlaces *places, bool with_address,
                      GError **error);
char *virt_dimm_xml(gint64 bytes);
/* Where the seed CD of a VM lies; the caller's. */
char *virt_seed_path(const VirtHost *host, const char *uuid);

/* ---- reading (domain_parse.c) ---- */
typedef struct {
  WsVmSpec *spec;      /* filled */
  char *domain_name;   /* libvirt's; ours are "vm-<id>", with the person's name as title */
  GPtrArray *blockers; /* char *: what the platform has no word for */
  GPtrArray *taps;     /* WsVmTap *: host interfaces, live XML only */
  GHashTable *devs;    /* key -> target name ("vda") of disks and CDs */
  bool live;           /* of a running guest */
  gint64 cpu_weight; /* as it stands in the XML, whatever `spec` would have: VIRT_WEIGHT_NORMAL where it names
                        none */
  int agent_connected; /* the guest agent's channel, live XML only: 1 open by the guest, 0 not, -1 no channel or not known */
} VirtDomain;
/* Paths as virt_spec_diff() has them, of a running guest against what its definition says, and whether it has
 * the weight of what is reserved. */
GPtrArray *virt_domain_waits(const VirtDomain *live, const WsVmSpec *next);

/* Reads a domain's XML, live or persistent, ours or anybody's. Devices without an alias of ours are known by the metadata's note
 * of their target, else by their order. WS_ERROR_UNSUPPORTED for an architecture that is not ours. */
VirtDomain *virt_domain_parse(const char *xml, const VirtHost *host, GError **error);
void virt_domain_free(VirtDomain *domain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtDomain, virt_domain_free)

/* Our element in a domain's <metadata>, as virDomainSetMetadata() takes it (without the name space, which libvirt adds). `devs` as in
 * VirtDomain, to note how devices without an alias of ours are to be known again (vm.adopt); NULL: all have one. */
#define VIRT_METADATA_URI    "urn:winsphere:vm:1"
#define VIRT_METADATA_PREFIX "ws"
char *virt_metadata_xml(const WsVmSpec *spec, GHashTable *devs);

/* Names of values in domain XML, one table for both directions (words.c). Index: the enum's value; [0] is NULL. */
extern const char *const virt_word_disk_bus[];   /* WsVmSpecDiskBus */
extern const char *const virt_word_cdrom_bus[];  /* WsVmSpecCdromBus */
extern const char *const virt_word_watchdog[];   /* WsVmSpecWatchdog */
/* Value whose word is `word`, or 0. The table ends with NULL after [0]. */
int virt_word_find(const char *const *table, const char *word);
