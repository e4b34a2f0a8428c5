-- SPDX-License-Identifier: MIT
select bench.purchases(64);
