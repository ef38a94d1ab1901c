// SPDX-License-Identifier: Apache-2.0
/* Folders that tests make. */
#pragma once

/* The folder and all in it, following no link. What cannot be removed stays. */
void folder_remove(const char *path);
