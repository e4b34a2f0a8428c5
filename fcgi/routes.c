/* SPDX-License-Identifier: MIT */
/*
 * The table of routes.
 */
#include "fcgi/routes.h"

#include <stddef.h>

const struct route routes[] = { { HTTP_POST, "/checkout/{}", "checkout",
				    checkout_post },
	{ HTTP_POST, "/payment_webhook", "payment_signed",
	    payment_post_signed },
	{ HTTP_POST, "/payment_webhook/{}/{}", "payment", payment_post },
	{ HTTP_GET, "/payment/{}", "payment_status", payment_get },
	{ HTTP_GET, "/product", "product", product_get },
	{ HTTP_GET, "/orders", "orders", orders_get },
	{ HTTP_GET, "/order/{}", "order", orders_get_one },
	{ HTTP_GET, "/view", "view", view_get },
	{ HTTP_GET, "/view/order/{}", "view_order", view_get_order },
	{ HTTP_GET, "/view/payment/{}", "view_payment", view_get_payment },
	{ HTTP_GET, "/processes", "processes", monitor_get_processes },
	{ HTTP_GET, "/workflow/{id}", "workflow", monitor_get_workflow },
	{ HTTP_GET, "/operator/workflows", "operator_workflows",
	    operator_get_workflows },
	{ HTTP_GET, "/operator/refunds", "operator_refunds",
	    operator_get_refunds },
	{ HTTP_GET, "/operator/workflow/{id}", "operator_workflow",
	    operator_get_workflow },
	{ HTTP_POST, "/operator/cancel/{id}", "operator_cancel",
	    operator_cancel },
	{ HTTP_POST, "/operator/resume/{id}", "operator_resume",
	    operator_resume },
	{ HTTP_POST, "/operator/fork/{id}/{id}", "operator_fork",
	    operator_fork },
	{ HTTP_POST, "/restock", "restock", product_restock },
	{ HTTP_POST, "/crash_application", "crash", crash_all },
	{ HTTP_POST, "/crash_application/web", "crash_web", crash_web },
	{ HTTP_POST, "/crash_application/executor", "crash_executor",
	    crash_executor },
	{ HTTP_POST, "/crash_application/database", "crash_database",
	    crash_database },
	{ HTTP_POST, "/crash_application/everything", "crash_everything",
	    crash_everything },
	{ HTTP_GET, "/healthz", "healthz", health_get },
	{ HTTP_GET, "/readyz", "readyz", health_get_ready },
	{ HTTP_GET, "/metrics", "metrics", metrics_get }, { .pattern = NULL } };

/* Payment providers send the payment's details. */
long
routes_body_max(const struct route *route)
{
	return route->handler == payment_post ||
		route->handler == payment_post_signed
	    ? HTTP_BODY_MAX
	    : 1024;
}
