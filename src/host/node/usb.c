// SPDX-License-Identifier: Apache-2.0
/* USB devices; hubs are left out, they are not for guests. */
#include "host/node/node-private.h"
#include <string.h>

static WsHostUsbDevice *read_device(const char *root, const char *port)
{
  WsHostUsbDevice *d = ws_host_usb_device_new();
  d->port = g_strdup(port);
  d->bus = tree_read_int(root, WS_INT_UNSET, "/sys/bus/usb/devices/%s/busnum", port);
  d->device = tree_read_int(root, WS_INT_UNSET, "/sys/bus/usb/devices/%s/devnum", port);
  d->vendor_id = tree_read(root, "/sys/bus/usb/devices/%s/idVendor", port);
  d->product_id = tree_read(root, "/sys/bus/usb/devices/%s/idProduct", port);
  d->vendor = tree_read(root, "/sys/bus/usb/devices/%s/manufacturer", port);
  d->product = tree_read(root, "/sys/bus/usb/devices/%s/product", port);
  d->serial = tree_read(root, "/sys/bus/usb/devices/%s/serial", port);
  d->speed_mbps =
      tree_read_int(root, WS_INT_UNSET, "/sys/bus/usb/devices/%s/speed", port); /* "1.5" reads 1 */
  return d;
}

void node_read_usb(const char *root, WsHostFacts *facts)
{
  g_auto(GStrv) ports = tree_list(root, "/sys/bus/usb/devices");
  for (char **port = ports; *port && facts->usb_devices.len < 1024; port++) {
    g_autofree char *class = tree_read(root, "/sys/bus/usb/devices/%s/bDeviceClass", *port);
    if (class && strcmp(class, "09") != 0 &&
        strlen(*port) <= 64) /* "1-1:1.0" are interfaces, without a class of this name */
      ws_array_add(&facts->usb_devices, read_device(root, *port));
  }
}
